//go:build unix

package writer

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tornReads and tornPublishes are the least that TestTornReads does in symlink
// mode.
const (
	tornReads     = 200_000
	tornPublishes = 2_000
)

// A tally counts what readers saw.
type tally struct {
	publishes  atomic.Int64 // begun
	reads      atomic.Int64
	partial    atomic.Int64 // bytes that were not published
	missing    atomic.Int64 // no file
	late       atomic.Int64 // no file, by a reader that was held up for longer than one is kept for it
	mismatched atomic.Int64 // key and certificate of different sets
	straddled  atomic.Int64 // the same, by a reader in two steps, which may
}

// TestTornReads has four readers read as fast as they can while publishes come
// as fast as they go.
func TestTornReads(t *testing.T) {
	for _, c := range []struct {
		mode      Mode
		disk      bool
		reads     int64
		publishes int
	}{
		{ModeSymlink, false, tornReads, tornPublishes},
		{ModeRename, false, tornReads / 4, tornPublishes / 4},
		{ModeSymlink, true, tornReads / 100, tornPublishes / 100},
		{ModeRename, true, tornReads / 100, tornPublishes / 100},
	} {
		where := "memory"
		base := memoryDir
		if c.disk {
			where, base = "disk", func(t testing.TB) string { return t.TempDir() }
		}
		t.Run(string(c.mode)+"/"+where, func(t *testing.T) {
			torn(t, c.mode, filepath.Join(base(t), "tls"), c.reads, c.publishes)
		})
	}
}

func torn(t *testing.T, mode Mode, dir string, reads int64, publishes int) {
	unwatched(t, dir)
	o := trio(dir)
	o.Publish = mode
	a := newAuthority(t, "example.org")
	var sets []fileSet
	known := map[string]int{} // the bytes of a file to the number of its set
	for i := range 8 {
		files := a.answer(t)
		set := wanted(append(files, combined("combined.pem", files)), o)
		sets = append(sets, set)
		for _, f := range set.Files {
			if f.Name != "ca.crt" {
				known[f.Name+string(f.Data)] = i
			}
		}
	}
	d := open(t, o)
	publish(t, d, sets[0])

	var seen tally
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := tornReader{dir: dir, known: known, seen: &seen, symlink: mode == ModeSymlink}
			for i := 0; seen.reads.Load() < reads; i++ {
				r.read(i)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	n := 0
	for reading := true; reading || n < publishes; n++ {
		seen.publishes.Store(int64(n))
		publish(t, d, sets[n%len(sets)])
		select {
		case <-done:
			reading = false
		default:
		}
	}
	<-done
	t.Logf("%d reads against %d publishes: partial %d, missing %d, mismatched %d, too late %d; a reader in two steps straddled %d times (%.3f %%)",
		seen.reads.Load(), n, seen.partial.Load(), seen.missing.Load(), seen.mismatched.Load(), seen.late.Load(),
		seen.straddled.Load(), 100*float64(seen.straddled.Load())/float64(seen.reads.Load()))
	if seen.partial.Load()+seen.missing.Load()+seen.mismatched.Load() > 0 {
		t.Error("torn")
	}
}

// A tornReader reads in the three ways that there are.
type tornReader struct {
	dir     string
	known   map[string]int
	seen    *tally
	symlink bool
	start   time.Time // of the read
	first   int64     // the publish that was under way then
	buf     [16 << 10]byte
}

func (r *tornReader) read(i int) {
	r.seen.reads.Add(1)
	r.start, r.first = time.Now(), r.seen.publishes.Load()
	switch i % 3 {
	case 0: // the visible names, one after the other
		if crt, key := r.file(r.dir, "tls.crt"), r.file(r.dir, "tls.key"); crt != key && crt >= 0 && key >= 0 {
			r.seen.straddled.Add(1)
		}
	case 1: // one file with both
		r.file(r.dir, "combined.pem")
	case 2: // "..data" resolved once
		if !r.symlink {
			return
		}
		gen, err := os.Readlink(filepath.Join(r.dir, dataName))
		if err != nil {
			r.miss()
			return
		}
		dir := filepath.Join(r.dir, gen)
		if crt, key := r.file(dir, "tls.crt"), r.file(dir, "tls.key"); crt != key && crt >= 0 && key >= 0 {
			r.seen.mismatched.Add(1)
		}
	}
}

// miss counts a file that is not there. A generation stays for a second and at most
// seven others, and the machine may hold a reader up for longer.
func (r *tornReader) miss() {
	if r.symlink && (time.Since(r.start) > retirement || r.seen.publishes.Load()-r.first >= mostOld-1) {
		r.seen.late.Add(1)
		return
	}
	r.seen.missing.Add(1)
}

// file reads a file and returns the number of its set, or -1. It uses the bare
// system calls, which are fast.
func (r *tornReader) file(dir, name string) int {
	fd, err := syscall.Open(dir+"/"+name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		r.miss()
		return -1
	}
	defer syscall.Close(fd)
	n, err := syscall.Read(fd, r.buf[:])
	if err != nil {
		r.miss()
		return -1
	}
	number, ok := r.known[name+string(r.buf[:n])]
	if !ok {
		r.seen.partial.Add(1)
		return -1
	}
	return number
}
