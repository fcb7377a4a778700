package writer

import "golang.org/x/sys/unix"

// fileSystem returns the type of the file system that a path is on.
var fileSystem = func(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, err
	}
	return int64(st.Type), nil
}

// inMemory reports whether a path is on a file system that fsync means nothing
// to.
func inMemory(path string) bool {
	kind, err := fileSystem(path)
	return err == nil && (kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC)
}

// withoutSymlinks returns the name of the file system that a path is on, if it
// has no symbolic links.
func withoutSymlinks(path string) string {
	kind, err := fileSystem(path)
	if err != nil {
		return ""
	}
	switch kind {
	case unix.MSDOS_SUPER_MAGIC:
		return "vfat"
	case unix.EXFAT_SUPER_MAGIC:
		return "exfat"
	}
	return ""
}
