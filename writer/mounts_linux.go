package writer

import (
	"os"
	"strconv"
	"strings"
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
