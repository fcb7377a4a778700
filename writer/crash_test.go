//go:build unix

package writer

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestKillAtEverySystemCall kills a publish after each of its system calls in
// turn. In symlink mode the directory holds one whole set at that very moment,
// in the others after the next start, which leaves no litter in any.
func TestKillAtEverySystemCall(t *testing.T) {
	var total atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, mode := range modes {
			for _, s := range situations {
				if mode != ModeSymlink && s.name != "rotation" {
					continue // which promise nothing more for it
				}
				t.Run(string(mode)+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, mode)
					w.output.Dir = filepath.Join(memoryDir(t), "tls")
					unwatched(t, w.output.Dir)
					set := wanted(w.new, &w.output)
					publishing := childCommands(t, task{Kind: "die at", Output: w.output, New: set.Files})
					at := 1
					for killAt(t, w, s, publishing, at) {
						total.Add(1)
						at++
					}
					t.Logf("killed after each of %d system calls", at-1)
				})
			}
		}
	})
	t.Logf("%d kills", total.Load())
}

// killAt kills a publish after one of its system calls, and reports whether it
// has that many.
func killAt(t *testing.T, w *world, s situation, publishing func(env ...string) *exec.Cmd, at int) bool {
	o := &w.output
	defer os.RemoveAll(o.Dir)
	must(t, os.MkdirAll(o.Dir, 0o755))
	s.prepare(t, o, w)
	old, new := wanted(w.old, o), wanted(w.new, o)
	out, err := publishing(fmt.Sprintf("%s=%d", atVariable, at)).Output()
	if err == nil {
		if calls, err := strconv.Atoi(strings.TrimSpace(string(out))); err != nil || calls != at-1 || calls < 20 {
			t.Errorf("%q at call %d", out, at)
		}
		return false
	}
	if !killed(err) {
		t.Fatal(err)
	}
	// either is what a reader may find.
	either := func(check func(fileSet) error) error {
		if s.name == "first" && len(readable(t, o.Dir)) == 0 {
			return nil
		}
		was, is := check(old), check(new)
		if was == nil || is == nil {
			return nil
		}
		return errors.Join(was, is)
	}
	if mode := o.Publish; mode == ModeSymlink {
		if err := either(func(set fileSet) error { return wholeBut(o.Dir, set, s) }); err != nil {
			t.Fatalf("call %d: %v", at, err)
		}
	}
	d := open(t, o)
	defer d.Close()
	if err := either(func(set fileSet) error { return wholeBut(o.Dir, set, s) }); err != nil {
		t.Fatalf("call %d: after the next start: %v\n%s", at, err, tree(t, o.Dir))
	}
	if left := litter(t, o.Dir); len(left) > 0 {
		t.Fatalf("call %d: the next start left %q", at, left)
	}
	publish(t, d, new)
	if err := errors.Join(s.holds(t, o.Dir, new), verifiesIn(o.Dir)); err != nil {
		t.Fatalf("call %d: after the next publish: %v", at, err)
	}
	return true
}

// TestCrash kills a process that publishes in a loop at random instants. The
// same directory serves all of them.
func TestCrash(t *testing.T) {
	for _, c := range []struct {
		mode  Mode
		disk  bool
		kills int
	}{
		{ModeSymlink, false, 280}, {ModeRename, false, 100}, {ModeInPlace, false, 100}, {ModeSymlink, true, 20},
	} {
		where := "memory"
		if c.disk {
			where = "disk"
		}
		t.Run(string(c.mode)+"/"+where, func(t *testing.T) {
			t.Parallel()
			base := memoryDir(t)
			if c.disk {
				base = t.TempDir()
			}
			crash(t, c.mode, filepath.Join(base, "tls"), c.kills)
		})
	}
}

func crash(t *testing.T, mode Mode, dir string, kills int) {
	w := newWorld(t, mode)
	o := w.output
	o.Dir = dir
	unwatched(t, dir)
	old, new := wanted(w.old, &o), wanted(w.new, &o)
	publishing := childCommands(t, task{Kind: "publish", Output: o, Old: old.Files, New: new.Files})
	olds, news := 0, 0
	for range kills {
		cmd := publishing()
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(line, err)
		}
		// Not to wait for anything, but to strike at random.
		<-time.After(rand.N(5 * time.Millisecond))
		cmd.Process.Signal(syscall.SIGKILL)
		if err := cmd.Wait(); !killed(err) {
			t.Fatal(err)
		}
		if mode == ModeSymlink && whole(dir, old) != nil && whole(dir, new) != nil {
			t.Fatal(whole(dir, old), whole(dir, new))
		}
		d := open(t, &o)
		d.Close()
		switch {
		case holds(t, dir, old) == nil:
			olds++
		case holds(t, dir, new) == nil:
			news++
		default:
			t.Fatal(holds(t, dir, old), holds(t, dir, new), tree(t, dir))
		}
		if err := verifiesIn(dir); err != nil {
			t.Fatal(err)
		}
		if left := litter(t, dir); len(left) > 0 {
			t.Fatalf("the next start left %q", left)
		}
	}
	t.Logf("%d kills: the directory held the one set %d times, the other %d times, anything else 0 times", kills, olds, news)
}
