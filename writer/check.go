package writer

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Check finds out, without touching anything, whether an output can be
// published: its names, its mode, its owners, its directory and the file system
// below. An error says what to change.
func Check(o *Output) error {
	if err := check(o); err != nil {
		return fmt.Errorf("output %s: %w", o.Dir, err)
	}
	return nil
}

func check(o *Output) error {
	switch o.Publish {
	case "", ModeSymlink, ModeRename, ModeInPlace:
	default:
		return fmt.Errorf("publish = %q is not one of %q, %q and %q", o.Publish, ModeSymlink, ModeRename, ModeInPlace)
	}
	if err := checkFiles(o); err != nil {
		return err
	}
	if err := checkRights(o); err != nil {
		return err
	}
	return checkPlace(o)
}

// checkFiles checks names and modes. Names that only an answer makes equal are
// found when it is encoded.
func checkFiles(o *Output) error {
	taken := names{}
	for f := range o.uses() {
		if err := CheckName(sample(f.Name)); err != nil {
			return err
		}
		if HasPlaceholder(f.Name) {
			continue
		}
		if err := taken.take(f.Name); err != nil {
			return err
		}
	}
	return nil
}

// checkRights checks that owners exist and that files can be given to them.
func checkRights(o *Output) error {
	specs := []FileSpec{{}}
	for f := range o.uses() {
		specs = append(specs, f)
	}
	for _, f := range specs {
		owner, group := o.Rights.Owner, o.Rights.Group
		if f.Owner != "" {
			owner = f.Owner
		}
		if f.Group != "" {
			group = f.Group
		}
		uid, gid, err := lookupOwner(owner, group)
		if err != nil {
			return err
		}
		if err := canGive(uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// mode is the way to publish in a directory.
func (o *Output) mode(dir string) Mode {
	switch {
	case o.Publish != "":
		return o.Publish
	case withoutSymlinks(dir) != "":
		return ModeRename
	}
	return DefaultMode()
}

// checkPlace checks the directory and the file system that it is on.
func checkPlace(o *Output) error {
	p, err := findDir(o.Dir)
	if err != nil {
		return err
	}
	if inside := ownElement(o.Dir, p.path); inside != "" {
		return fmt.Errorf("it leads through %s, which belongs to another output: give this one a directory of its own", inside)
	}
	mode := o.mode(p.path)
	if err := canWrite(p.path); err != nil {
		switch {
		case mode == ModeInPlace && !p.missing:
			return checkInPlace(o, p.path)
		case p.missing:
			return fmt.Errorf("the directory does not exist, and cannot be created in %s: %w", p.path, err)
		}
		return fmt.Errorf("no right to write in it: %w", err)
	}
	if kind := withoutSymlinks(p.path); kind != "" && mode == ModeSymlink {
		return fmt.Errorf("its file system (%s) has no symbolic links: set publish = %q", kind, ModeRename)
	}
	if mode != ModeInPlace && !p.missing {
		return checkMounts(o, p.path)
	}
	return nil
}

// ownElement returns the first element of paths that is a name of ours: what is
// below goes with the next publish.
func ownElement(paths ...string) string {
	for _, p := range paths {
		for element := range strings.SplitSeq(filepath.ToSlash(p), "/") {
			if ownName(element) {
				return element
			}
		}
	}
	return ""
}

// checkInPlace checks that every file is there and can be written, since none
// can be made.
func checkInPlace(o *Output, dir string) error {
	for f := range o.uses() {
		if HasPlaceholder(f.Name) {
			continue
		}
		if err := canWriteFile(filepath.Join(dir, f.Name)); err != nil {
			return fmt.Errorf("nothing can be made in it, and %s cannot be written: %w", f.Name, err)
		}
	}
	return nil
}

// checkMounts looks for files that are mount points of their own, as a subPath
// volume makes them: nothing can be renamed over those.
func checkMounts(o *Output, dir string) error {
	for point := range mountPoints() {
		name, err := filepath.Rel(dir, point)
		if err != nil || name == "." || strings.HasPrefix(name, "..") {
			continue
		}
		for f := range o.uses() {
			if matchName(f.Name, filepath.ToSlash(name)) {
				return fmt.Errorf("%s is a mount point of its own, and cannot be replaced: mount the whole directory, or set publish = %q", point, ModeInPlace)
			}
		}
	}
	return nil
}
