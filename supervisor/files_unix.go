//go:build linux || darwin

package supervisor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// files returns the process's descriptors by number: the helper's own 0 to 2,
// and those of PassFDs at the numbers that they have. All others are closed.
func (spec *Spec) files() ([]uintptr, error) {
	files := []uintptr{0, 1, 2}
	for _, fd := range spec.PassFDs {
		if fd < 3 {
			return nil, fmt.Errorf("descriptor %d: 0 to 2 are passed anyway, only higher ones can be named", fd)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("descriptor %d to pass on is not open: %w", fd, err)
		}
		for len(files) <= fd {
			files = append(files, ^uintptr(0))
		}
		files[fd] = uintptr(fd)
	}
	return files, nil
}
