//go:build unix

package writer

import (
	"bufio"
	"errors"
	"math/rand/v2"
	"os"
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
			t.Run(string(mode), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, mode)
				base := memoryDir(t)
				for at := 1; ; at++ {
					o := w.output
					o.Dir = filepath.Join(base, "tls")
					unwatched(t, o.Dir)
					old, new := encode(t, w.old, &o), encode(t, w.new, &o)
					cmd := childCommand(t, task{Kind: "die at", Output: o, Old: old.Files, New: new.Files, At: at})
					out, err := cmd.Output()
					if err == nil {
						calls, err := strconv.Atoi(strings.TrimSpace(string(out)))
						if err != nil || calls != at-1 || calls < 20 {
							t.Errorf("%q at call %d", out, at)
						}
						t.Logf("killed after each of %d system calls", calls)
						return
					}
					if !killed(err) {
						t.Fatal(err)
					}
					if mode == ModeSymlink && whole(o.Dir, old) != nil && whole(o.Dir, new) != nil {
						t.Fatalf("call %d: %v", at, errors.Join(whole(o.Dir, old), whole(o.Dir, new)))
					}
					d := open(t, &o)
					if errs := []error{holds(t, o.Dir, old), holds(t, o.Dir, new)}; errs[0] != nil && errs[1] != nil {
						t.Fatalf("call %d: after the next start: %v\n%s", at, errors.Join(errs...), tree(t, o.Dir))
					}
					if left := litter(t, o.Dir); len(left) > 0 {
						t.Fatalf("call %d: the next start left %q", at, left)
					}
					if err := verifiesIn(o.Dir); err != nil {
						t.Fatalf("call %d: %v", at, err)
					}
					publish(t, d, new)
					if err := holds(t, o.Dir, new); err != nil {
						t.Fatalf("call %d: after the next publish: %v", at, err)
					}
					d.Close()
					os.RemoveAll(o.Dir)
					total.Add(1)
				}
			})
		}
	})
	t.Logf("%d kills", total.Load())
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
	old, new := encode(t, w.old, &o), encode(t, w.new, &o)
	job := task{Kind: "publish", Output: o, Old: old.Files, New: new.Files}
	olds, news := 0, 0
	for range kills {
		cmd := childCommand(t, job)
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
