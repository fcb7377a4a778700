package writer

import "io/fs"

// setDirRights gives the output's directory its rights, and derives from them
// those of what is made in it.
func (d *Dir) setDirRights(created bool) error {
	ids, err := d.owner(File{})
	if err != nil {
		return err
	}
	want := rights{d.spec.DirMode.Perm(), ids[0], ids[1]}
	if want.mode == 0 && created {
		want.mode = 0o755
	}
	if want.mode != 0 {
		if err := d.setRights(".", want); err != nil {
			return err
		}
	}
	s, err := d.fs.Lstat(".")
	if err != nil {
		return failed("look at", ".", err)
	}
	d.newGID, d.shared = ownGID, s.mode&0o022 != 0
	if s.mode&fs.ModeSetgid != 0 { // hands its group down
		d.newGID = s.gid
	}
	// A user who may enter the directory may enter a generation, but only the
	// helper changes one, even where every user can write in the directory.
	want.mode = s.mode.Perm()&^0o022 | 0o700 | s.mode&fs.ModeSetgid
	d.dirRights = want
	return nil
}

// setRights gives a directory its rights, the umask notwithstanding. A
// set-group-ID bit that is there stays.
func (d *Dir) setRights(name string, want rights) error {
	s, err := d.fs.Lstat(name)
	if err != nil {
		return failed("look at", name, err)
	}
	if !s.isDir() {
		return nil
	}
	if !modeEqual(s.mode, want.mode) {
		if err := d.fs.Chmod(name, want.mode.Perm()|s.mode&fs.ModeSetgid); err != nil {
			return failed("chmod", name, err)
		}
	}
	if s.uid >= 0 && (want.uid >= 0 && want.uid != s.uid || want.gid >= 0 && want.gid != s.gid) {
		if err := d.fs.Lchown(name, want.uid, want.gid); err != nil {
			return failed("change the owner of", name, err)
		}
	}
	return nil
}
