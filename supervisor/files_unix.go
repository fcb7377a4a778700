//go:build linux || darwin

package supervisor

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// files returns the process's descriptors by number: the helper's own 0 to 2,
// and at their own numbers those of PassFDs and of systemd's socket activation.
// All others are closed.
func (spec *Spec) files() ([]uintptr, error) {
	files := []uintptr{0, 1, 2}
	have := inherited()
	for _, fd := range slices.Concat(spec.PassFDs, listenFDs()) {
		if fd < 3 {
			return nil, fmt.Errorf("descriptor %d: 0 to 2 are passed anyway, only higher ones can be named", fd)
		}
		if !slices.Contains(have, fd) {
			return nil, fmt.Errorf("descriptor %d cannot be passed on: the helper was started without it", fd)
		}
		for len(files) <= fd {
			files = append(files, ^uintptr(0))
		}
		files[fd] = uintptr(fd)
	}
	return files, nil
}

// inherited returns the descriptors above 2 that the helper was started with.
// Whatever the program opens itself is marked to be closed on exec; from now on
// these are, too, so that they reach only the process that they are passed to.
var inherited = sync.OnceValue(func() []int {
	var fds []int
	names, _ := os.ReadDir("/dev/fd") // without it nothing can be passed on
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || fd < 3 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		unix.CloseOnExec(fd)
		fds = append(fds, fd)
	}
	return fds
})
