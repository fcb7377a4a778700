//go:build linux

package writer

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An inotifyConsumer watches one path with the bare system calls, as a server
// that reloads by itself does.
type inotifyConsumer struct {
	fd   int
	path string
	mask uint32
}

func newConsumer(t *testing.T, path string, mask uint32) *inotifyConsumer {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	c := &inotifyConsumer{fd: fd, path: path, mask: mask}
	c.add(t)
	return c
}

func (c *inotifyConsumer) add(t *testing.T) {
	t.Helper()
	if _, err := unix.InotifyAddWatch(c.fd, c.path, c.mask); err != nil {
		t.Fatal(err)
	}
}

// hear waits for any event, drains what is there, and reports whether one came.
func (c *inotifyConsumer) hear(t *testing.T) bool {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	for timeout := 10_000; ; timeout = 0 {
		n, err := unix.Poll(poll, timeout)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return timeout == 0
		}
		var buf [64 << 10]byte
		if _, err := unix.Read(c.fd, buf[:]); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWatchersHearEveryRotation has a consumer on the directory and one on the
// certificate file hear of each of a hundred rotations, in every mode. The one on
// the file watches it anew after each event, since the name leads to another
// file then.
func TestWatchersHearEveryRotation(t *testing.T) {
	retirement = time.Millisecond // which is when a file behind a link goes
	defer func() { retirement = time.Second }()
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			o := trio(filepath.Join(memoryDir(t), "tls"))
			o.Publish = mode
			unwatched(t, o.Dir)
			a := newAuthority(t, "example.org")
			d := open(t, o)
			publish(t, d, wanted(a.answer(t), o))
			onDir := newConsumer(t, o.Dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MODIFY)
			onFile := newConsumer(t, filepath.Join(o.Dir, "tls.crt"), unix.IN_MODIFY|unix.IN_ATTRIB|unix.IN_DELETE_SELF)
			dirHeard, fileHeard := 0, 0
			for range 100 {
				publish(t, d, wanted(a.answer(t), o))
				if onDir.hear(t) {
					dirHeard++
				}
				if onFile.hear(t) {
					fileHeard++
				}
				onFile.add(t)
			}
			t.Logf("of 100 rotations the watch on the directory heard %d, the one on the file %d", dirHeard, fileHeard)
			if dirHeard != 100 || fileHeard != 100 {
				t.Error("a rotation went unheard")
			}
		})
	}
}
