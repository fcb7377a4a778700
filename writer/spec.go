package writer

import "io/fs"

// Mode is the way in which a new generation becomes visible.
type Mode string

const (
	// ModeSymlink publishes through one symbolic link, "..data": the whole
	// set changes in one rename.
	ModeSymlink Mode = "symlink"
	// ModeRename renames each file into place: each file is whole at every
	// instant, the set is not.
	ModeRename Mode = "rename"
	// ModeInPlace rewrites the files: for single-file bind mounts, where
	// nothing can be renamed. A reader can catch a partial file.
	ModeInPlace Mode = "in-place"
)

// A Spec says where files are published, and how.
type Spec struct {
	// Dir is the directory. It is created when it is missing.
	Dir string
	// Set tells apart the sets of several helpers in one directory: each has a
	// link, a lock and generations of its own, and files of other names than the
	// others'. Letters, digits, "_" and "-", 64 at most; empty is the default set.
	Set string
	// Publish is the way to publish; empty means the default of the platform and
	// the file system.
	Publish Mode
	// Owner and Group are those of the directory and of the files that name none:
	// names or numbers. Empty means that a file that replaces another one keeps its
	// owner and group, and that a new file has the helper's own.
	Owner, Group string
	// DirMode is the directory's mode; 0 means 0755 for a directory that has
	// to be created, and no change for one that exists.
	DirMode fs.FileMode
	// NoFsync leaves out fsync: after a power cut the set may be damaged.
	NoFsync bool
}

// A File is one file to publish.
type File struct {
	Name string // relative to the directory, elements separated by slashes
	Data []byte // never empty; it does not change any more
	Mode fs.FileMode
	// Owner and Group are names or numbers; empty means the Spec's.
	Owner, Group string
}

// A Change is what a publish changed for a reader of the visible names. The zero
// Change means nothing. The names are in order.
type Change struct {
	Changed []string // names that are new, or have new bytes
	Removed []string // names that are gone
}
