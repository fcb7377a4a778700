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
	"time"
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
// way that it can fail. Each time the directory must be as it was, byte for byte
// and name for name, and the error must say at which step and where. A fault that
// the publish can do without is one it survives.
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

// publish runs one publish whose at-th call fails, and returns its calls. Since
// a failure leaves everything as it was, the next one fails in the same
// directory; but now and then it is seen whether the next one can succeed.
func (f *faulty) publish(fault error, at int) (calls []string) {
	t, dir := f.t, f.o.Dir
	t.Helper()
	f.h.set(func(call string) error {
		if calls = append(calls, call); len(calls) == at {
			return fault
		}
		return nil
	}, nil)
	_, err := f.d.Publish(f.set.Files, nil)
	f.h.set(nil, nil)
	if at == 0 || err == nil {
		if err := errors.Join(err, f.s.holds(t, dir, f.set)); err != nil {
			t.Errorf("%v was survived, but %v", fault, err)
		}
		f.prepare()
		return calls
	}
	failed := calls[at-1]
	if after := tree(t, dir); after != f.before {
		t.Errorf("%s: before\n%s\nafter\n%s\n%v", failed, f.before, after, err)
	}
	_, name, _ := strings.Cut(failed, " ")
	if at := strings.IndexByte(name, '/'); strings.HasPrefix(name, genPrefix) && at > 0 {
		name = name[at:] // the number goes up
	} else if strings.HasPrefix(name, genPrefix) {
		name = genPrefix
	}
	if fault != errShort && !errors.Is(err, fault) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%s: the error does not say so: %v", failed, err)
	}
	if f.failed++; f.failed%8 == 0 {
		if _, err := f.d.Publish(f.set.Files, nil); err != nil {
			t.Errorf("%s: the next publish: %v", failed, err)
		}
		if err := f.s.holds(t, dir, f.set); err != nil {
			t.Errorf("%s: after the next publish: %v", failed, err)
		}
		f.prepare()
	}
	return calls
}

// TestFaultsWithSpare is TestFaults for a publish that begins with a spare
// generation. That one may be used up.
func TestFaultsWithSpare(t *testing.T) {
	retirement, worthSparing, syncers = time.Millisecond, 1, 1
	t.Cleanup(func() { retirement, worthSparing, syncers = time.Second, 32, 8 })
	dir := filepath.Join(memoryDir(t), "tls")
	w := newWorld(t, ModeSymlink)
	w.output.Dir = dir
	unwatched(t, dir)
	h := hookDir(t, dir)
	a := newAuthority(t, "example.net")
	other := a.answer(t, w.federated...)
	sets := []fileSet{wanted(w.old, &w.output), wanted(other, &w.output), wanted(w.new, &w.output)}
	for at := 1; ; at++ {
		d := open(t, &w.output)
		for _, set := range sets[:2] {
			publish(t, d, set)
			awaitRetirement(d)
		}
		if d.spare == nil {
			t.Fatal("there is no spare generation")
		}
		d.fsync = true
		withoutSpare := func() string {
			lines := strings.SplitAfter(tree(t, dir), "\n")
			return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, d.spareName(t)) }), "")
		}
		before := withoutSpare()
		n := 0
		h.set(func(string) error {
			if n++; n == at {
				return syscall.EIO
			}
			return nil
		}, nil)
		_, err := d.Publish(sets[2].Files, nil)
		h.set(nil, nil)
		if err == nil && n < at {
			t.Logf("a publish of %d system calls", n)
			must(t, d.Close())
			break
		}
		if after := withoutSpare(); err != nil && after != before {
			t.Errorf("call %d: before\n%s\nafter\n%s\n%v", at, before, after, err)
		}
		publish(t, d, sets[2])
		must(t, holds(t, dir, sets[2]))
		must(t, d.Close())
		must(t, os.RemoveAll(dir))
	}
}

// spareName is the name of the generation that is neither the current one nor
// any other that matters.
func (d *Dir) spareName(t *testing.T) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.spare == nil {
		return "no such name"
	}
	return d.spare.gen
}
