//go:build unix

package writer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
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

// A chaser resolves a path one element at a time, from an open directory to the
// next, so that no other process can exchange one behind it.
type chaser struct {
	fds     []int
	names   []string
	pending []string
	links   int
	create  bool
	unsafe  []string
}

// chase finds out where a path leads. It notes a symbolic link that belongs to
// another user, and a directory in which every user can rename the next one: their
// owner chooses where keys are written. With create it makes what is missing.
func chase(dir string, create bool) (p place, created bool, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return p, false, err
	}
	c := &chaser{create: create, pending: strings.Split(abs, "/")}
	defer c.reset()
	if err := c.restart(); err != nil {
		return p, false, err
	}
	for len(c.pending) > 0 {
		name := c.pending[0]
		c.pending = c.pending[1:]
		made, err := c.step(name)
		if errors.Is(err, unix.ENOENT) && !create {
			p, serr := c.place()
			p.missing = true
			return p, false, serr
		}
		if err != nil {
			return p, false, err
		}
		created = made
	}
	p, err = c.place()
	return p, created, err
}

// step takes one element of the path.
func (c *chaser) step(name string) (made bool, err error) {
	switch name {
	case "", ".":
		return false, nil
	case "..":
		if last := len(c.names) - 1; last >= 0 {
			unix.Close(c.fds[last+1])
			c.fds, c.names = c.fds[:last+1], c.names[:last]
		}
		return false, nil
	}
	if err := c.checkWay(name); err != nil {
		return false, err
	}
	fd, err := c.open(name)
	if errors.Is(err, unix.ENOENT) && c.create {
		// Another helper that starts now may be faster.
		if err := c.mkdir(name); err != nil && !errors.Is(err, unix.EEXIST) {
			return false, fmt.Errorf("create directory %s: %w", c.join(name), err)
		} else if err == nil {
			made = true
		}
		fd, err = c.open(name)
	}
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EMLINK) {
		return false, c.follow(name)
	}
	if err != nil {
		return false, fmt.Errorf("open directory %s: %w", c.join(name), err)
	}
	c.fds, c.names = append(c.fds, fd), append(c.names, name)
	return made, nil
}

// mkdir makes a directory on the way, or the last one, which gets its own mode
// later and until then is for nobody else. The umask has no say; a parent that
// hands its group down does.
func (c *chaser) mkdir(name string) error {
	mode := uint32(0o755)
	if len(c.pending) == 0 {
		mode = 0o700
	}
	if err := unix.Mkdirat(c.top(), name, mode); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(c.top(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if uint32(st.Mode)&0o777 == mode {
		return nil
	}
	return unix.Fchmodat(c.top(), name, mode|uint32(st.Mode)&unix.S_ISGID, 0)
}

func (c *chaser) open(name string) (fd int, err error) {
	for {
		fd, err = unix.Openat(c.top(), name, walkFlags|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// follow puts what a symbolic link says in its place.
func (c *chaser) follow(name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(c.top(), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("look at %s: %w", c.join(name), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fmt.Errorf("%s is not a directory", c.join(name))
	}
	if st.Uid != 0 && int(st.Uid) != ownUID {
		c.unsafe = append(c.unsafe, fmt.Sprintf("%s is a symbolic link of uid %d: that user chooses where it leads. Name the directory itself", c.join(name), st.Uid))
	}
	if c.links++; c.links > maxLinks {
		return fmt.Errorf("%s leads through more than %d symbolic links", c.join(name), maxLinks)
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(c.top(), name, buf)
	if err != nil {
		return fmt.Errorf("read link %s: %w", c.join(name), err)
	}
	target := string(buf[:n])
	c.pending = append(strings.Split(target, "/"), c.pending...)
	if strings.HasPrefix(target, "/") {
		return c.restart()
	}
	return nil
}

// checkWay notes a directory in which every user can rename the next one. A mount
// point is left alone: such a volume is shared on purpose, and Kubernetes hands them
// out that way.
func (c *chaser) checkWay(next string) error {
	var st unix.Stat_t
	if err := unix.Fstat(c.top(), &st); err != nil {
		return fmt.Errorf("look at %s: %w", c.join(""), err)
	}
	if st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0 && !mountPoints()[c.join("")] {
		c.unsafe = append(c.unsafe, fmt.Sprintf("every user can write in %s and so replace %s: chmod o-w it, or set its sticky bit", c.join(""), c.join(next)))
	}
	return nil
}

func (c *chaser) place() (p place, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(c.top(), &st); err != nil {
		return p, fmt.Errorf("look at %s: %w", c.join(""), err)
	}
	return place{path: c.join(""), stat: statOf(&st), unsafe: c.unsafe}, nil
}

func (c *chaser) top() int { return c.fds[len(c.fds)-1] }

// join returns the path of a name in the directory that has been reached.
func (c *chaser) join(name string) string {
	return filepath.Join("/", filepath.Join(c.names...), name)
}

// restart goes back to the root directory.
func (c *chaser) restart() error {
	c.reset()
	fd, err := unix.Open("/", walkFlags|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open directory /: %w", err)
	}
	c.fds = []int{fd}
	return nil
}

func (c *chaser) reset() {
	for _, fd := range c.fds {
		unix.Close(fd)
	}
	c.fds, c.names = nil, nil
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
