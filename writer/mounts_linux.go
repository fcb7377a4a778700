package writer

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountInfo is where the kernel lists what is mounted.
var mountInfo = "/proc/self/mountinfo"

// mountPoints returns the paths at which something is mounted.
func mountPoints() map[string]bool {
	data, err := os.ReadFile(mountInfo)
	if err != nil {
		return nil // no /proc: the first rename tells
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		// proc(5): the fifth field is the mount point.
		if fields := strings.Fields(line); len(fields) > 4 {
			points[unescapeMount(fields[4])] = true
		}
	}
	return points
}

// sameMount reports whether a path leads to the mount through which the lock file
// was opened. The same directory can be seen through several, some of them read-only
// or not there any more. A kernel before 5.8 does not tell.
func (l *dirLock) sameMount(path string) bool {
	var opened, named unix.Statx_t
	if err := unix.Statx(l.fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &opened); err != nil {
		return true
	}
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &named); err != nil {
		return true
	}
	return opened.Mask&named.Mask&unix.STATX_MNT_ID == 0 || opened.Mnt_id == named.Mnt_id
}

// unescapeMount undoes the octal escapes for space, tab, newline and backslash.
func unescapeMount(s string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if len(after) >= 3 {
			if c, err := strconv.ParseUint(after[:3], 8, 8); err == nil {
				out.WriteByte(byte(c))
				s = after[3:]
				continue
			}
		}
		out.WriteByte('\\')
		s = after
	}
}
