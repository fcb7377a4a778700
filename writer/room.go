package writer

// A Room is what the file system that an output goes to has left for this user.
type Room struct {
	// Path is the output's directory or, while that is missing, the one that it
	// will be made in. No symbolic link is in it.
	Path string
	// InMemory says that what is written there reaches no disk.
	InMemory bool
	// Bytes and Files are what can still be written; of Files, math.MaxUint64
	// where the file system does not count them.
	Bytes, Files uint64
}

// RoomFor looks at the file system that an output goes to, and touches nothing. It
// is false where the system does not tell.
func RoomFor(spec Spec) (Room, bool) {
	p, err := findDir(spec.Dir)
	if err != nil {
		return Room{}, false
	}
	r, err := roomAt(p.path)
	r.Path = p.path
	return r, err == nil
}

// OwnerOf returns the user and the group that a new file of an output has.
func OwnerOf(spec Spec, f File) (uid, gid int, err error) {
	if uid, gid, err = lookupOwner(spec.ownerOf(f)); err != nil {
		return 0, 0, err
	}
	if uid < 0 {
		uid = ownUID
	}
	if gid < 0 {
		gid = ownGID
	}
	return uid, gid, nil
}
