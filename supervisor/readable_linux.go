package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"golang.org/x/sys/unix"
)

// CheckReadable reports which of the files the process's user cannot read, if
// there is one, and whether that user cannot execute the command, or enter its
// directory. The kernel decides: a thread takes on the user for the time of the
// attempt, and ends with it. Nothing is started.
func (spec Spec) CheckReadable(paths []string) error {
	cred, err := spec.credential()
	if err != nil || cred == nil {
		return err
	}
	done := make(chan error)
	go child.OnOwnThread(func() { done <- readableAs(cred, spec, paths) })
	defer child.Reprotect() // the thread has changed its user
	return <-done
}

func readableAs(cred *syscall.Credential, spec Spec, paths []string) error {
	groups := make([]int, 0, len(cred.Groups))
	for _, g := range cred.Groups {
		groups = append(groups, int(g))
	}
	// System calls of their own: those of package syscall change all threads.
	if err := unix.Setgroups(groups); err != nil {
		return spec.cannotBecome(err)
	}
	unix.SetfsgidRetGid(int(cred.Gid))
	unix.SetfsuidRetUid(int(cred.Uid))
	// They fail without saying so; an impossible id changes nothing and
	// returns the present one.
	gid, _ := unix.SetfsgidRetGid(-1)
	uid, _ := unix.SetfsuidRetUid(-1)
	if gid != int(cred.Gid) || uid != int(cred.Uid) {
		return spec.cannotBecome(unix.EPERM)
	}
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			hint := ""
			if errors.Is(err, fs.ErrPermission) {
				hint = "; set owner, group or mode of the output, or the process's group"
			}
			return fmt.Errorf("process user %s cannot read what is published: %w%s", spec.runsAs(), err, hint)
		}
		f.Close()
	}
	return spec.executableAs()
}

// executableAs asks for the calling thread's user.
func (spec Spec) executableAs() error {
	path, err := spec.lookPath()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // New refuses that, unless the command may come later
	}
	if err != nil {
		return startError(spec.Command[0], err)
	}
	for _, path := range []string{spec.Dir, spec.inDir(path)} {
		if path == "" {
			continue
		}
		if err := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("process user %s cannot execute or enter %s: %w; set its mode and its directories'", spec.runsAs(), path, err)
		}
	}
	return nil
}

func (spec Spec) cannotBecome(err error) error {
	return fmt.Errorf("become process user %s: %w; start svidhelper as root, or leave user and group out", spec.runsAs(), err)
}

// runsAs names the process's user for people.
func (spec Spec) runsAs() string {
	return strings.Trim(spec.User+":"+spec.Group, ":")
}
