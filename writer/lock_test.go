//go:build unix

package writer

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// openError opens and closes an output. The time that a lock is waited for
// passes at once.
func openError(t *testing.T, o *output) (err error) {
	t.Helper()
	_, err = openTime(t, o)
	return err
}

// openTime is openError, and says how long the lock was waited for.
func openTime(t *testing.T, o *output) (waited time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		start := time.Now()
		var d *Dir
		if err = Check(o.Spec, o.Known); err != nil {
			return
		}
		d, err = Open(o.Spec, slog.New(slog.DiscardHandler))
		if waited = time.Since(start); err == nil {
			d.Close()
		}
	})
	return waited, err
}

func TestOneHelperPerDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	o := trio(dir)
	d := open(t, o)
	waited, err := openTime(t, o)
	if err == nil || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) || waited != lockTries*lockPause {
		t.Errorf("the second one, after %v: %v", waited, err)
	}
	publish(t, d, wanted(newAuthority(t, "example.org").answer(t), o))
	must(t, d.Close())
	must(t, openError(t, o))
}

// TestHelpersInTurns has one helper after the other have the lock, each for less
// than the time that it is waited for, all together for much longer.
func TestHelpersInTurns(t *testing.T) {
	dir := memoryDir(t)
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	defer lock.Close()
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			for pid := range 9 {
				fmt.Fprintln(lock, pid)
				time.Sleep(lockTries * lockPause * 9 / 10)
				lock.Truncate(0)
				lock.Seek(0, io.SeekStart)
			}
			syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
		}()
		start := time.Now()
		d, err := Open(trio(dir).Spec, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		must(t, d.Close())
	})
}

// TestClosedBesideAStart closes a directory while a process that is being
// started has its descriptors, as each one has until it runs: the lock is given
// up.
func TestClosedBesideAStart(t *testing.T) {
	o := trio(memoryDir(t))
	d := open(t, o)
	starting, err := syscall.Dup(int(d.lock.fd))
	must(t, err)
	defer syscall.Close(starting)
	must(t, d.Close())
	if waited, err := openTime(t, o); err != nil || waited > 0 {
		t.Errorf("opened again after %v: %v", waited, err)
	}
}

// TestTwoHelpersAtOnce starts two processes at the same time, again and again:
// one opens the directory, the other one names its pid.
func TestTwoHelpersAtOnce(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "tls")
	type process struct {
		cmd   *exec.Cmd
		in    io.WriteCloser
		said  string
		lines *bufio.Reader
	}
	for told, tries := 0, 0; told < 3; tries++ {
		var both [2]*process
		for i := range both {
			p := &process{cmd: childCommand(t, task{Kind: "open", Output: *trio(dir)})}
			p.cmd.Stderr = os.Stderr
			var err error
			p.in, err = p.cmd.StdinPipe()
			must(t, err)
			out, err := p.cmd.StdoutPipe()
			must(t, err)
			p.lines = bufio.NewReader(out)
			must(t, p.cmd.Start())
			both[i] = p
		}
		for _, p := range both {
			line, err := p.lines.ReadString('\n')
			must(t, err)
			p.said = strings.TrimSpace(line)
		}
		for _, p := range both {
			p.in.Close()
			must(t, p.cmd.Wait())
		}
		winner, loser := both[0], both[1]
		if strings.HasPrefix(loser.said, "open after ") {
			winner, loser = loser, winner
		}
		took, opened := strings.CutPrefix(winner.said, "open after ")
		if !opened || !strings.Contains(loser.said, "another helper") {
			t.Fatalf("%q and %q", winner.said, loser.said)
		}
		// One that was held up may not have written its number when the other one
		// had waited long enough.
		if after, err := time.ParseDuration(took); err != nil || after > lockTries*lockPause/2 && tries < 20 {
			t.Logf("opened after %s: %v", took, err)
			continue
		}
		told++
		if !strings.Contains(loser.said, "pid "+strconv.Itoa(winner.cmd.Process.Pid)) {
			t.Errorf("%q and %q", winner.said, loser.said)
		}
	}
}
