package writer

import (
	"math"

	"golang.org/x/sys/unix"
)

// inMemory reports whether a path is on a file system that fsync means nothing
// to.
func inMemory(path string) bool {
	r, err := roomAt(path)
	return err == nil && r.InMemory
}

// roomAt looks at the file system of a path.
func roomAt(path string) (Room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Room{}, err
	}
	r := Room{
		InMemory: st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC,
		Bytes:    st.Bavail * uint64(st.Bsize), Files: st.Ffree,
	}
	if st.Type == unix.RAMFS_MAGIC { // it has no end
		r.Bytes = math.MaxUint64
	}
	if st.Files == 0 {
		r.Files = math.MaxUint64
	}
	return r, nil
}
