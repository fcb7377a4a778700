package writer

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// A situation is what a directory holds before a publish.
type situation struct {
	name    string
	prepare func(t testing.TB, o *Output, w *world)
}

var situations = []situation{
	{"rotation", func(t testing.TB, o *Output, w *world) {
		d := open(t, o)
		publish(t, d, encode(t, w.old, o))
		d.Close()
	}},
	{"first", func(testing.TB, *Output, *world) {}},
	{"takeover", func(t testing.TB, o *Output, w *world) {
		for _, f := range encode(t, w.old, o).Files {
			p := filepath.Join(o.Dir, f.Name)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, f.Data, 0o444); err != nil {
				t.Fatal(err)
			}
		}
	}},
}

// holds is holds, but a takeover leaves what it was not told to write.
func (s situation) holds(t testing.TB, dir string, set Set) error {
	if s.name == "takeover" {
		return whole(dir, set)
	}
	return holds(t, dir, set)
}

// faults are the ways in which system calls can fail, and which.
var faults = []struct {
	err   error
	calls string // of these only; empty means all
}{
	{syscall.EIO, ""},
	{syscall.ENOSPC, "mkdir open write symlink link rename fsync truncate"},
	{syscall.EACCES, "lstat readdir readlink mkdir open symlink link rename remove"},
	{syscall.EROFS, "mkdir open symlink link rename remove chmod fchmod"},
	{syscall.EMFILE, "open"}, {syscall.EXDEV, "link rename"}, {errShort, "write"},
}

// TestFaults fails every system call of a publish, one at a time and in every
// way that it can fail. Each time the directory must be as it was, byte for byte
// and name for name; the error must say at which step and where; and the next
// publish must succeed. A fault that the publish can do without is one it
// survives.
func TestFaults(t *testing.T) {
	realSyncers := syncers
	syncers = 1 // the same order each time
	t.Cleanup(func() { syncers = realSyncers })
	var total atomic.Int64
	t.Run("all", func(t *testing.T) {
		for _, mode := range modes {
			w := newWorld(t, mode)
			for _, s := range situations {
				t.Run(string(mode)+"/"+s.name, func(t *testing.T) {
					t.Parallel()
					base := memoryDir(t)
					run := func(fault error, at int) []string {
						dir := filepath.Join(base, "tls")
						defer os.RemoveAll(dir)
						calls := failAt(t, w, s, dir, fault, at)
						if t.Failed() {
							t.Fatalf("%v at call %d", fault, at)
						}
						return calls
					}
					calls := run(nil, 0)
					for i, fault := range faults {
						if s.name != "rotation" && i > 0 {
							break // the same calls again, which have no other ways to fail
						}
						for at, call := range calls {
							op, _, _ := strings.Cut(call, " ")
							if fault.calls == "" || slices.Contains(strings.Fields(fault.calls), op) {
								run(fault.err, at+1)
								total.Add(1)
							}
						}
					}
					t.Logf("a publish of %d system calls", len(calls))
				})
			}
		}
	})
	if total.Load() == 0 {
		t.Error("nothing was made to fail")
	}
	t.Logf("%d faults", total.Load())
}

// failAt runs one publish whose at-th call fails, and returns its calls.
func failAt(t *testing.T, w *world, s situation, dir string, fault error, at int) (calls []string) {
	o := w.output
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unwatched(t, dir)
	h := hookDir(t, dir)
	s.prepare(t, &o, w)
	d, err := Open(&o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.fsync = true // in memory, it would be left out
	set := encode(t, w.new, &o)
	before := tree(t, dir)

	h.set(func(call string) error {
		if calls = append(calls, call); len(calls) == at {
			return fault
		}
		return nil
	}, nil)
	_, err = d.Publish(set)
	h.set(nil, nil)
	if at == 0 || err == nil {
		if err := errors.Join(err, s.holds(t, dir, set)); err != nil {
			t.Errorf("%v was survived, but %v", fault, err)
		}
		return calls
	}
	failed := calls[at-1]
	if after := tree(t, dir); after != before {
		t.Errorf("%s: before\n%s\nafter\n%s\n%v", failed, before, after, err)
	}
	_, name, _ := strings.Cut(failed, " ")
	if fault != errShort && !errors.Is(err, fault) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%s: the error does not say so: %v", failed, err)
	}
	if _, err := d.Publish(set); err != nil {
		t.Errorf("%s: the next publish: %v", failed, err)
	}
	if err := s.holds(t, dir, set); err != nil {
		t.Errorf("%s: after the next publish: %v", failed, err)
	}
	return calls
}
