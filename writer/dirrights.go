package writer

import (
	"io/fs"
)

// setDirRights gives the output's directory its rights, and derives from them
// those of what is made in it.
func (d *Dir) setDirRights(created bool) error {
	ids, err := d.owner(File{})
	if err != nil {
		return err
	}
	if d.spec.Owner == "" {
		ids[0] = -1
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
	info, err := d.fs.Lstat(".")
	if err != nil {
		return failed("look at", ".", err)
	}
	// Whoever may enter the directory may enter a generation, but only the
	// helper changes one, even where the directory is everybody's. A set-group-ID
	// directory hands its group down.
	want.mode = info.Mode().Perm()&^0o022 | 0o700 | info.Mode()&fs.ModeSetgid
	d.dirRights = want
	return nil
}

// setRights gives a directory its rights, the umask notwithstanding. A
// set-group-ID bit that is there stays.
func (d *Dir) setRights(name string, want rights) error {
	info, err := d.fs.Lstat(name)
	if err != nil {
		return failed("look at", name, err)
	}
	if !modeEqual(info.Mode(), want.mode) {
		mode := want.mode.Perm() | info.Mode()&fs.ModeSetgid
		if err := d.fs.Chmod(name, mode); err != nil {
			return failed("chmod", name, err)
		}
	}
	uid, gid, known := ownerOf(info)
	if known && (want.uid >= 0 && want.uid != uid || want.gid >= 0 && want.gid != gid) {
		if err := d.fs.Lchown(name, want.uid, want.gid); err != nil {
			return failed("change the owner of", name, err)
		}
	}
	return nil
}
