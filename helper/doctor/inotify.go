package doctor

import (
	"os"
	"strings"

	"github.com/svidhelper/svidhelper/fswatch"
	"github.com/svidhelper/svidhelper/helper/config"
)

// inotify looks at whether there are enough watchers: a user has only so many, and
// shares them with all that runs as that user. Without, a helper looks now and then.
func (r *Report) inotify(c *config.Config) {
	wanted := len(c.Outputs) + 2 // the socket and the configuration
	for range wanted {
		w, err := fswatch.New()
		if err == nil {
			defer w.Close() // not before all of them are there
			err = w.Add(os.TempDir())
		}
		if err != nil {
			r.add(Warning, checkInotify, "", "%v: this user has too few watchers%s, and svidhelper needs %d: without them, changes are found late", err, limits(), wanted)
			return
		}
	}
	r.add(OK, checkInotify, "", "%s can be had", plural(wanted, "watcher"))
}

// limits says what the kernel allows, where it says so.
func limits() string {
	var all []string
	for _, name := range []string{"max_user_instances", "max_user_watches"} {
		value, err := os.ReadFile("/proc/sys/fs/inotify/" + name)
		if err != nil {
			continue
		}
		all = append(all, "fs.inotify."+name+" = "+strings.TrimSpace(string(value)))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + "; sysctl raises them)"
}
