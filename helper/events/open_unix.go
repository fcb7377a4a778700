//go:build unix

package events

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// open opens the file to append to. A file that another user owns, has linked
// elsewhere or has put a symbolic link in place of is refused: events of a helper
// that runs as root would end up in a file of that user's choice. What is below
// /dev is root's own, and some of it is links (/dev/stdout).
func open(path string) (*os.File, error) {
	flags := openFlags
	if !strings.HasPrefix(path, "/dev/") {
		flags |= syscall.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, fileMode)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: name the file itself", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || strings.HasPrefix(path, "/dev/") {
		return f, nil
	}
	if int(st.Uid) != os.Geteuid() || st.Nlink > 1 {
		f.Close()
		return nil, fmt.Errorf("%s belongs to uid %d and has %d names: remove it, or name a file that is svidhelper's alone", path, st.Uid, st.Nlink)
	}
	return f, nil
}
