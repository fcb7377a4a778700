package writer

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Check finds out, without touching anything, whether files can be published:
// their names, the mode, the owners, the directory and the file system below. An
// error says what to change. The files are those whose names are known; they need
// no bytes.
func Check(spec Spec, files []File) error {
	if err := check(&spec, files); err != nil {
		return fmt.Errorf("output %s: %w", spec.Dir, err)
	}
	return nil
}

func check(s *Spec, files []File) error {
	switch s.Publish {
	case "", ModeSymlink, ModeRename, ModeInPlace:
	default:
		return fmt.Errorf("publish = %q is not one of %q, %q and %q", s.Publish, ModeSymlink, ModeRename, ModeInPlace)
	}
	if err := CheckSet(s.Set); err != nil {
		return err
	}
	names := namesOf(files)
	if err := CheckNames(names); err != nil {
		return err
	}
	for _, f := range append(files[:len(files):len(files)], File{}) {
		if err := checkOwner(s, f); err != nil {
			return err
		}
	}
	if err := checkPlace(s, names); err != nil {
		return &PlaceError{err}
	}
	return nil
}

// A PlaceError says that a directory cannot be published in as it is now. It may
// be mended, as by a disk that is mounted or a mode that is changed.
type PlaceError struct{ Err error }

func (e *PlaceError) Error() string { return e.Err.Error() }
func (e *PlaceError) Unwrap() error { return e.Err }

// checkOwner checks that a file's owner exists and that files can be given to it.
func checkOwner(s *Spec, f File) error {
	uid, gid, err := lookupOwner(s.ownerOf(f))
	if err != nil {
		return err
	}
	return canGive(uid, gid)
}

// ownerOf returns the owner and the group that a file is to have.
func (s *Spec) ownerOf(f File) (owner, group string) {
	return cmp.Or(f.Owner, s.Owner), cmp.Or(f.Group, s.Group)
}

// checkPlace checks the directory and the file system that it is on.
func checkPlace(s *Spec, names []string) error {
	p, err := findDir(s.Dir)
	if err != nil {
		return err
	}
	if inside := ownElement(s.Dir, p.path); inside != "" {
		return fmt.Errorf("it leads through %s, which belongs to another output: give this one a directory of its own", inside)
	}
	mode := cmp.Or(s.Publish, DefaultMode())
	if err := canWrite(p.path); err != nil {
		switch {
		case mode == ModeInPlace && !p.missing:
			return checkInPlace(p.path, names)
		case p.missing:
			return fmt.Errorf("the directory does not exist, and cannot be created in %s: %w: create it for svidhelper's user, or choose another one", p.path, err)
		}
		if checkInPlace(p.path, names) == nil {
			return fmt.Errorf("no right to write in it: %w: grant it, or set publish = %q, as the files that are there can be written", err, ModeInPlace)
		}
		return fmt.Errorf("no right to write in it: %w: choose a directory that svidhelper's user can write in", err)
	}
	if mode != ModeInPlace && !p.missing && len(names) > 0 {
		return checkMounts(p.path, names)
	}
	return nil
}

// ownElement returns the first element of paths that is a name of ours: what is
// below goes with the next publish.
func ownElement(paths ...string) string {
	for _, p := range paths {
		for element := range strings.SplitSeq(filepath.ToSlash(p), "/") {
			if _, _, ok := parseOwn(element); ok {
				return element
			}
		}
	}
	return ""
}

// checkInPlace checks that every file is there and can be written, since none
// can be made.
func checkInPlace(dir string, names []string) error {
	for _, name := range names {
		if err := canWriteFile(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("nothing can be made in it, and %s cannot be written: %w", name, err)
		}
	}
	return nil
}

// checkMounts looks for files that are mount points of their own, as a subPath
// volume makes them: nothing can be renamed over those.
func checkMounts(dir string, names []string) error {
	for point := range mountPoints() {
		name, err := filepath.Rel(dir, point)
		if err != nil || name == "." || strings.HasPrefix(name, "..") {
			continue
		}
		if slices.Contains(names, filepath.ToSlash(name)) {
			return fmt.Errorf("%s is a mount point of its own, and cannot be replaced: mount the whole directory, or set publish = %q", point, ModeInPlace)
		}
	}
	return nil
}

// Warnings says, without touching anything, what about the place of files is allowed
// and unwise, each with what to do. The files are as for Check.
func Warnings(spec Spec, files []File) []string {
	p, err := findDir(spec.Dir)
	if err != nil {
		return nil // Check says it
	}
	all := p.unsafe
	if p.missing {
		return all
	}
	for _, f := range files {
		name := filepath.Join(p.path, f.Name)
		target, err := os.Readlink(name)
		if err != nil {
			continue
		}
		if _, ours := linkSet(f.Name, filepath.ToSlash(target)); !ours {
			all = append(all, fmt.Sprintf("%s is a symbolic link to %s: it will be replaced, and what it leads to stays as it is; name that directory itself to write there", name, target))
		}
	}
	return all
}
