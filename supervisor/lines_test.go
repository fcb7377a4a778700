//go:build unix

package supervisor

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lines hands over what is written, line by line.
type lines struct {
	t *testing.T
	c chan string
}

func readLines(t *testing.T, r io.Reader) lines {
	l := lines{t, make(chan string, 4096)}
	go func() {
		defer close(l.c)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			l.c <- sc.Text()
		}
	}()
	return l
}

// next returns the next line, io.EOF's absence being a failure.
func (l lines) next() string {
	l.t.Helper()
	select {
	case line, ok := <-l.c:
		if !ok {
			l.t.Fatal("the process said nothing more")
		}
		return line
	case <-time.After(patience):
		l.t.Fatal("the process says nothing")
	}
	return ""
}

func (l lines) want(line string) {
	l.t.Helper()
	if got := l.next(); got != line {
		l.t.Fatalf("the process said %q, want %q", got, line)
	}
}

// ready waits for a recording child, and returns its pid.
func (l lines) ready() (pid int) {
	l.t.Helper()
	line := l.next()
	if _, err := fmt.Sscanf(line, "ready %d", &pid); err != nil {
		l.t.Fatalf("the process said %q, want ready", line)
	}
	return pid
}

// until reads on to line.
func (l lines) until(line string) (before []string) {
	l.t.Helper()
	for {
		got := l.next()
		if got == line {
			return before
		}
		before = append(before, got)
	}
}

// pipe returns a named pipe to write to, and what is written to it.
func pipe(t *testing.T) (path string, l lines) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o622); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	l = readLines(t, f)
	t.Cleanup(func() {
		f.Close()
		for range l.c {
		}
	})
	return path, l
}
