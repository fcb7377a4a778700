//go:build unix

package main

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what takes milliseconds.
const patience = time.Minute

// lines are lines of text that can be waited for.
type lines struct {
	mu      sync.Mutex
	text    string
	read    int // how much of text has been waited for
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(p)
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// await returns the next line that holds all of the words, and what was before
// it is not waited for any more.
func (l *lines) await(t *testing.T, words ...string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		line, changed, ok := l.next(words)
		if ok {
			return line
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no line with %q", words)
		}
	}
}

func (l *lines) next(words []string) (line string, changed <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.read
	for line := range strings.Lines(l.text[l.read:]) {
		at += len(line)
		if strings.HasSuffix(line, "\n") && holdsAll(line, words) {
			l.read = at
			return strings.TrimSuffix(line, "\n"), nil, true
		}
	}
	return "", l.changed, false
}

// count counts the lines that hold all of the words.
func (l *lines) count(words ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		if holdsAll(line, words) {
			n++
		}
	}
	return n
}

func holdsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
