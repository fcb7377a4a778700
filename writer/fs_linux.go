package writer

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// chmodOpened is a chmod that follows no link, for kernels before 6.6, which have
// no call for it.
func chmodOpened(dir int, name string, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}
