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
	prepare func(t testing.TB, o *output, w *world)
}

var situations = []situation{
	{"rotation", func(t testing.TB, o *output, w *world) {
		d := open(t, o)
		publish(t, d, wanted(w.old, o))
		d.Close()
	}},
	{"first", func(testing.TB, *output, *world) {}},
	{"takeover", func(t testing.TB, o *output, w *world) {
		for _, f := range wanted(w.old, o).Files {
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
func (s situation) holds(t testing.TB, dir string, set fileSet) error {
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
// way that it can fail. Until the new set is visible or decided the directory must be
// as it was, byte for byte and name for name. After that, symlink mode shows one
// whole set, and the next publish completes it, in the other modes the next start
// too; what it changed is told then. The error must say at which step and where. A
// fault that the publish can do without is one it survives.
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
					f := newFaulty(t, w, s)
					calls := f.publish(nil, 0)
					for i, fault := range faults {
						if s.name != "rotation" && i > 0 {
							break // the same calls again, which have no other ways to fail
						}
						for at, call := range calls {
							op, _, _ := strings.Cut(call, " ")
							if fault.calls == "" || slices.Contains(strings.Fields(fault.calls), op) {
								f.publish(fault.err, at+1)
								total.Add(1)
							}
							if t.Failed() {
								t.Fatalf("%v at call %d", fault.err, at+1)
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

// A faulty is a directory in a situation, in which publishes fail.
type faulty struct {
	t      *testing.T
	w      *world
	s      situation
	o      output
	h      *hook
	set    fileSet // to be published
	d      *Dir
	before string // what the directory holds
	failed int    // publishes since it was last prepared
	change Change // that a publish makes
}

func newFaulty(t *testing.T, w *world, s situation) *faulty {
	f := &faulty{t: t, w: w, s: s, o: w.output}
	f.o.Dir = filepath.Join(memoryDir(t), "tls")
	f.set = wanted(w.new, &f.o)
	unwatched(t, f.o.Dir)
	f.h = hookDir(t, f.o.Dir)
	f.prepare()
	t.Cleanup(func() { f.d.Close() })
	return f
}

// prepare begins anew.
func (f *faulty) prepare() {
	f.t.Helper()
	if f.d != nil {
		f.d.Close()
	}
	must(f.t, os.RemoveAll(f.o.Dir))
	must(f.t, os.MkdirAll(f.o.Dir, 0o755))
	f.s.prepare(f.t, &f.o, f.w)
	var err error
	f.d, err = Open(f.o.Spec, slog.New(slog.DiscardHandler))
	must(f.t, err)
	f.d.fsync = true // in memory, it would be left out
	f.before, f.failed = tree(f.t, f.o.Dir), 0
}

// publish runs one publish whose at-th call fails, and returns its calls.
func (f *faulty) publish(fault error, at int) (calls []string) {
	t, dir := f.t, f.o.Dir
	t.Helper()
	f.h.set(func(call string) error {
		if calls = append(calls, call); len(calls) == at {
			return fault
		}
		return nil
	}, nil)
	change, err := f.d.Publish(f.set.Files, nil)
	f.h.set(nil, nil)
	if at == 0 {
		f.change = change
	}
	if at == 0 || err == nil {
		if err := errors.Join(err, f.s.holds(t, dir, f.set)); err != nil {
			t.Errorf("%v was survived, but %v", fault, err)
		}
		f.prepare()
		return calls
	}
	failed := calls[at-1]
	_, name, _ := strings.Cut(failed, " ")
	if at := strings.IndexByte(name, '/'); strings.HasPrefix(name, genName) && at > 0 {
		name = name[at:] // the number goes up
	} else if strings.HasPrefix(name, genName) {
		name = genName
	}
	if fault != errShort && !errors.Is(err, fault) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%s: the error does not say so: %v", failed, err)
	}
	untouched := tree(t, dir) == f.before
	if f.failed++; untouched && f.failed%8 != 0 {
		return calls
	}
	if !untouched {
		f.betweenSets(failed)
	}
	if change, err = f.d.Publish(f.set.Files, nil); err != nil {
		t.Errorf("%s: the next publish: %v", failed, err)
	}
	if err := f.s.holds(t, dir, f.set); err != nil {
		t.Errorf("%s: after the next publish: %v", failed, err)
	}
	if change.names() != f.change.names() {
		t.Errorf("%s: the next publish told of %q, and not of %q", failed, change.names(), f.change.names())
	}
	must(t, f.d.Close())
	if left := litter(t, dir); len(left) > 0 {
		t.Errorf("%s: left %q", failed, left)
	}
	f.prepare()
	return calls
}

// betweenSets checks a directory whose publish failed after it was visible or
// decided, or while files of another program were taken over.
func (f *faulty) betweenSets(failed string) {
	f.t.Helper()
	old, dir := wanted(f.w.old, &f.o), f.o.Dir
	if f.o.Publish != ModeSymlink {
		copied := filepath.Join(f.t.TempDir(), "copy")
		must(f.t, os.CopyFS(copied, os.DirFS(dir)))
		for _, set := range []fileSet{old, f.set} { // which CopyFS does not keep
			for _, file := range set.Files {
				for _, below := range []string{"", commitName} {
					if err := os.Chmod(filepath.Join(copied, below, file.Name), file.Mode); !absent(err) {
						must(f.t, err)
					}
				}
			}
		}
		o := f.o
		o.Dir = copied
		must(f.t, open(f.t, &o).Close())
		dir = copied
	}
	was, is := wholeBut(dir, old, f.s), wholeBut(dir, f.set, f.s)
	if f.s.name == "first" && len(readable(f.t, dir)) == 0 {
		return
	}
	if was != nil && is != nil {
		f.t.Errorf("%s: neither the old set nor the new one: %v, %v\n%s", failed, was, is, tree(f.t, dir))
	}
}
