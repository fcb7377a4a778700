//go:build unix

package writer

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"
)

// A root is the fsys of a real directory. It opens a directory below once, one
// element at a time, and keeps the descriptor until it is told to forget it. Every
// other call names one element below a descriptor.
type root struct {
	fd   int
	dirs map[string]int // descriptors of directories below, by name
}

// openRoot opens a directory.
func openRoot(path string) (*root, error) {
	fd, err := number(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	return &root{fd: fd, dirs: map[string]int{}}, nil
}

// retry makes a system call until no signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// number is retry for a call that returns a number, which is not negative.
func number(call func() (int, error)) (n int, err error) {
	err = retry(func() error { n, err = call(); return err })
	return max(n, 0), err
}

// at returns the descriptor of the directory that a name lies in, and the last
// element of the name.
func (r *root) at(name string) (fd int, base string, err error) {
	dir, base := path.Split(name)
	if dir == "" {
		return r.fd, name, nil
	}
	fd, err = r.dir(dir[:len(dir)-1])
	return fd, base, err
}

// dir returns the descriptor of a directory.
func (r *root) dir(name string) (int, error) {
	if name == "." {
		return r.fd, nil
	}
	if fd, ok := r.dirs[name]; ok {
		return fd, nil
	}
	parent, base, err := r.at(name)
	if err != nil {
		return -1, err
	}
	fd, err := number(func() (int, error) {
		return unix.Openat(parent, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err == nil {
		r.dirs[name] = fd
	}
	return fd, err
}

// drop gives up the descriptors of a directory and of those below it.
func (r *root) drop(name string) {
	for dir, fd := range r.dirs {
		if dir == name || len(dir) > len(name) && dir[:len(name)] == name && dir[len(name)] == '/' {
			unix.Close(fd)
			delete(r.dirs, dir)
		}
	}
}

func (r *root) Forget(but string) {
	for dir, fd := range r.dirs {
		if dir != but {
			unix.Close(fd)
			delete(r.dirs, dir)
		}
	}
}

func (r *root) Close() error {
	r.Forget("")
	return unix.Close(r.fd)
}

// one makes a call that names one element below a descriptor.
func (r *root) one(name string, call func(fd int, base string) error) error {
	fd, base, err := r.at(name)
	if err != nil {
		return err
	}
	return retry(func() error { return call(fd, base) })
}

func (r *root) Mkdir(name string, perm fs.FileMode) error {
	return r.one(name, func(fd int, base string) error { return unix.Mkdirat(fd, base, uint32(perm.Perm())) })
}

func (r *root) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	var opened int
	err := r.one(name, func(fd int, base string) (err error) {
		opened, err = unix.Openat(fd, base, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return openFile{opened}, nil
}

func (r *root) OpenDir(name string) (syncer, error) {
	fd, err := r.dir(name)
	return openFile{fd}, err
}

func (r *root) Lstat(name string) (s stat, err error) {
	if name == "." {
		return openFile{r.fd}.Stat()
	}
	err = r.one(name, func(fd int, base string) error {
		var st unix.Stat_t
		err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
		s = statOf(&st)
		return err
	})
	return s, err
}

func (r *root) ReadDir(name string) (names []string, err error) {
	fd, err := r.dir(name)
	if err != nil {
		return nil, err
	}
	if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
		return nil, err
	}
	buf := make([]byte, 8192)
	for {
		n, err := number(func() (int, error) { return unix.ReadDirent(fd, buf) })
		if err != nil || n == 0 {
			slices.Sort(names)
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

func (r *root) Readlink(name string) (target string, err error) {
	err = r.one(name, func(fd int, base string) error {
		var buf [unix.PathMax]byte
		n, err := unix.Readlinkat(fd, base, buf[:])
		target = string(buf[:max(n, 0)])
		return err
	})
	return target, err
}

func (r *root) Symlink(target, name string) error {
	return r.one(name, func(fd int, base string) error { return unix.Symlinkat(target, fd, base) })
}

func (r *root) Link(from, to string) error {
	fd, base, err := r.at(from)
	if err != nil {
		return err
	}
	return r.one(to, func(toFD int, toBase string) error { return unix.Linkat(fd, base, toFD, toBase, 0) })
}

func (r *root) Rename(from, to string) error {
	fd, base, err := r.at(from)
	if err != nil {
		return err
	}
	err = r.one(to, func(toFD int, toBase string) error { return unix.Renameat(fd, base, toFD, toBase) })
	if err == nil {
		r.drop(from)
		r.drop(to)
	}
	return err
}

func (r *root) Chmod(name string, mode fs.FileMode) error {
	if dir, err := r.dir(name); err == nil {
		return openFile{dir}.Chmod(mode)
	}
	err := r.one(name, func(fd int, base string) error {
		return unix.Fchmodat(fd, base, modeBits(mode), unix.AT_SYMLINK_NOFOLLOW)
	})
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	return r.one(name, func(fd int, base string) error { return chmodOpened(fd, base, modeBits(mode)) })
}

func (r *root) Lchown(name string, uid, gid int) error {
	if name == "." {
		return openFile{r.fd}.Chown(uid, gid)
	}
	return r.one(name, func(fd int, base string) error {
		return unix.Fchownat(fd, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (r *root) Remove(name string) error {
	r.drop(name)
	err := r.unlink(name, 0)
	if err == unix.EISDIR || err == unix.EPERM {
		if derr := r.unlink(name, unix.AT_REMOVEDIR); derr != unix.ENOTDIR {
			return derr
		}
	}
	return err
}

func (r *root) unlink(name string, flags int) error {
	return r.one(name, func(fd int, base string) error { return unix.Unlinkat(fd, base, flags) })
}

func (r *root) RemoveAll(name string) error {
	names, err := r.ReadDir(name)
	if err != nil { // no directory
		return ignoreMissing(r.Remove(name))
	}
	for _, n := range names {
		child := path.Join(name, n)
		if err := r.unlink(child, 0); err == unix.EISDIR || err == unix.EPERM {
			if err := r.RemoveAll(child); err != nil {
				return err
			}
		} else if err != nil && !absent(err) {
			return err
		}
	}
	r.drop(name)
	return ignoreMissing(r.unlink(name, unix.AT_REMOVEDIR))
}

// An openFile is a descriptor.
type openFile struct{ fd int }

func (f openFile) Read(b []byte) (int, error) {
	n, err := number(func() (int, error) { return unix.Read(f.fd, b) })
	if n == 0 && err == nil && len(b) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (f openFile) Write(b []byte) (int, error) {
	return writeRest(b, func(n int) (int, error) { return unix.Write(f.fd, b[n:]) })
}

func (f openFile) WriteAt(b []byte, off int64) (int, error) {
	return writeRest(b, func(n int) (int, error) { return unix.Pwrite(f.fd, b[n:], off+int64(n)) })
}

// writeRest writes what a call has left, until nothing is left.
func writeRest(b []byte, write func(done int) (int, error)) (n int, err error) {
	for n < len(b) {
		m, err := number(func() (int, error) { return write(n) })
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

func (f openFile) Stat() (stat, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(f.fd, &st) })
	return statOf(&st), err
}

func (f openFile) Truncate(size int64) error {
	return retry(func() error { return unix.Ftruncate(f.fd, size) })
}

func (f openFile) Chmod(mode fs.FileMode) error {
	return retry(func() error { return unix.Fchmod(f.fd, modeBits(mode)) })
}

func (f openFile) Chown(uid, gid int) error {
	return retry(func() error { return unix.Fchown(f.fd, uid, gid) })
}

func (f openFile) Sync() error  { return retry(func() error { return unix.Fsync(f.fd) }) }
func (f openFile) Close() error { return unix.Close(f.fd) }

// A fileID tells files apart.
type fileID struct{ dev, ino uint64 }

func statOf(st *unix.Stat_t) stat {
	s := stat{
		mode: fs.FileMode(st.Mode & 0o777), size: st.Size, uid: int(st.Uid), gid: int(st.Gid),
		links: uint64(st.Nlink), id: fileID{uint64(st.Dev), uint64(st.Ino)},
	}
	if st.Mode&unix.S_ISGID != 0 {
		s.mode |= fs.ModeSetgid
	}
	if st.Mode&unix.S_ISVTX != 0 {
		s.mode |= fs.ModeSticky
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		s.mode |= fs.ModeDir
	case unix.S_IFLNK:
		s.mode |= fs.ModeSymlink
	default:
		s.mode |= fs.ModeIrregular
	}
	return s
}

// lookAt returns what is known of the file that a path names, link or not.
func lookAt(path string) (stat, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Lstat(path, &st) })
	return statOf(&st), err
}

func modeBits(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if mode&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

func (s stat) same(other stat) bool { return s.id == other.id }
