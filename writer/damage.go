package writer

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// damaged looks at what something happened to, and reports whether it is not as
// it was published.
func (d *Dir) damaged(suspects map[string]bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.have == nil || d.fs == nil {
		return false // not published, or to be looked at in any case
	}
	var names []string
	for name := range suspects {
		if !d.intact(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false
	}
	slices.Sort(names)
	d.log.Warn("somebody else changed what is published; it is published again", "output", d.spec.Dir, "names", names)
	d.have = nil
	return true
}

// intact reports whether what is below a name is as it was published.
func (d *Dir) intact(name string) bool {
	switch name {
	case lostName:
		return d.intact(".") && d.intactBelow("")
	case ".":
		same, err := d.attached()
		return (same || err != nil) && d.locked() && d.intact(dataName) && d.rightDir(".", d.spec.DirMode)
	case lockName:
		return d.locked()
	case dataName:
		gen, err := d.generation()
		return d.mode != ModeSymlink || err != nil || d.have.gen == gen && d.rightDir(gen, d.dirRights.mode)
	}
	if h, ok := d.have.files[name]; ok {
		return d.intactFile(name, h)
	}
	return d.intactBelow(name + "/")
}

// rightDir reports whether a directory has a mode, if there is one to have.
func (d *Dir) rightDir(name string, mode fs.FileMode) bool {
	info, err := d.fs.Lstat(name)
	return name == "" || mode == 0 || err == nil && (d.lock.plain || modeEqual(info.Mode(), mode))
}

func (d *Dir) intactBelow(prefix string) bool {
	for name, h := range d.have.files {
		if strings.HasPrefix(name, prefix) && !d.intactFile(name, h) {
			return false
		}
	}
	return true
}

func (d *Dir) intactFile(name string, h held) bool {
	inside := name
	if d.mode == ModeSymlink {
		target, err := d.fs.Readlink(name)
		if linked := err == nil && target == linkTarget(name); linked != h.linked {
			return false
		}
		inside = path.Join(d.have.gen, name)
	}
	if h.data == nil { // kept from an earlier run, and never wanted since
		_, err := d.fs.Lstat(inside)
		return err == nil
	}
	found := d.compare(inside, item{File{Data: h.data}, h.rights})
	return found.data != nil && found.rights == h.rights
}

// attached reports whether the output's path still leads to the directory that
// is open.
func (d *Dir) attached() (bool, error) {
	named, err := os.Lstat(d.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, failed("look at", d.path, err)
	}
	opened, err := d.fs.Lstat(".")
	if err != nil {
		return false, failed("look at", ".", err)
	}
	return os.SameFile(named, opened), nil
}

// locked reports whether the lock file is still the one that is locked.
func (d *Dir) locked() bool {
	named, err := d.fs.Lstat(d.lock.name)
	if err != nil {
		return false
	}
	opened, err := d.lock.Stat()
	return err == nil && os.SameFile(named, opened)
}
