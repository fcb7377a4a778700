//go:build unix

package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 40

// A place is where the path of an output leads.
type place struct {
	path    string   // without symbolic links
	missing bool     // it is not there; path ends at the last directory that is
	stat    stat     // of the directory
	unsafe  []string // what on the way lets another user choose where it leads
}

// chase finds out where a path leads, one element at a time. It notes a symbolic
// link that belongs to another user, and a directory in which every user can rename
// the next one: they choose where keys are written. With create it makes what is
// missing.
func chase(dir string, create bool) (p place, created bool, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return p, false, err
	}
	p.path = "/"
	links := 0
	for pending := strings.Split(abs, "/"); len(pending) > 0; {
		name := pending[0]
		pending = pending[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			p.path = filepath.Dir(p.path)
			continue
		}
		next := filepath.Join(p.path, name)
		if err := p.checkWay(next); err != nil {
			return p, false, err
		}
		s, err := lookAt(next)
		if errors.Is(err, fs.ErrNotExist) && !create {
			p.missing = true
			return p, false, nil
		}
		created = false
		if errors.Is(err, fs.ErrNotExist) {
			if created, err = makeOnTheWay(next, len(pending) == 0); err == nil {
				s, err = lookAt(next)
			}
		}
		switch {
		case err != nil:
			return p, false, failed("open directory", next, err)
		case s.isLink():
			if links++; links > maxLinks {
				return p, false, fmt.Errorf("%s leads through more than %d symbolic links", next, maxLinks)
			}
			if s.uid != 0 && s.uid != ownUID {
				p.unsafe = append(p.unsafe, fmt.Sprintf("%s is a symbolic link of uid %d: that user chooses where it leads. Name the directory itself", next, s.uid))
			}
			target, err := os.Readlink(next)
			if err != nil {
				return p, false, failed("read link", next, err)
			}
			pending = append(strings.Split(target, "/"), pending...)
			if strings.HasPrefix(target, "/") {
				p.path = "/"
			}
		case !s.isDir():
			return p, false, fmt.Errorf("%s is not a directory", next)
		default:
			p.path, p.stat = next, s
		}
	}
	p.stat, err = lookAt(p.path)
	return p, created, failed("look at", p.path, err)
}

// makeOnTheWay makes a directory on the way, or the last one, which gets its own mode
// later and until then is for no other user. The umask has no say; a parent that
// hands its group down does. Another helper that starts now may be faster.
func makeOnTheWay(dir string, last bool) (made bool, err error) {
	mode := fs.FileMode(0o755)
	if last {
		mode = 0o700
	}
	if err := os.Mkdir(dir, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return false, nil
		}
		return false, fmt.Errorf("it is missing, and cannot be created: %w", err)
	}
	s, err := lookAt(dir)
	if err == nil && s.mode.Perm() != mode {
		err = os.Chmod(dir, mode|s.mode&fs.ModeSetgid)
	}
	return true, err
}

// checkWay notes a directory in which every user can rename the next one. A mount
// point is left alone: such a volume is shared on purpose, and Kubernetes hands them
// out that way.
func (p *place) checkWay(next string) error {
	s, err := lookAt(p.path)
	if err != nil {
		return failed("look at", p.path, err)
	}
	if s.mode&0o002 != 0 && s.mode&fs.ModeSticky == 0 && !mountPoints()[p.path] {
		p.unsafe = append(p.unsafe, fmt.Sprintf("every user can write in %s and so replace %s: chmod o-w it, or set its sticky bit", p.path, next))
	}
	return nil
}

// openDir opens the directory of an output, and says where it is and whether it had
// to be made.
func openDir(dir string) (r *root, p place, created bool, err error) {
	if p, created, err = chase(dir, true); err != nil {
		return nil, p, false, err
	}
	if r, err = openRoot(p.path); err != nil {
		return nil, p, false, failed("open directory", p.path, err)
	}
	s, err := r.Lstat(".")
	if err == nil && !s.same(p.stat) {
		err = errReplaced
	}
	if err != nil {
		r.Close()
		return nil, p, false, failed("open directory", p.path, err)
	}
	return r, p, created, nil
}
