package source

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/fswatch"
)

// A route is where a path leads, as far as it exists.
type route struct {
	dirs    []string        // every directory on it
	holders []string        // those with the socket, or a link to it, in them
	names   map[string]bool // every name on it; whether it is the socket's or a link's to it
}

// trace follows path from the root, name by name.
func trace(path string) route {
	r := route{names: make(map[string]bool)}
	dir, rest := "/", split(path)
	for links := 0; len(rest) > 0; {
		last := len(rest) == 1
		r.dirs = append(r.dirs, dir)
		if last {
			r.holders = append(r.holders, dir)
		}
		next := filepath.Join(dir, rest[0])
		r.names[next] = r.names[next] || last
		rest = rest[1:]
		info, err := os.Lstat(next)
		if err != nil {
			break
		}
		if info.Mode()&os.ModeSymlink == 0 {
			dir = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			break
		}
		if filepath.IsAbs(target) {
			dir = "/"
		}
		rest = append(split(target), rest...)
	}
	return r
}

// maxLinks is how many symbolic links Linux follows in one path.
const maxLinks = 40

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// armed is the set of watched directories.
type armed struct {
	fs     *fswatch.Watcher // nil: there is none
	log    *slog.Logger
	dirs   map[string]os.FileInfo // as they were when the watch began
	barred map[string]bool        // those that could not be watched, once
	blind  bool                   // something cannot be watched now
}

// arm watches the directories on path, or only those that hold the socket, and
// returns the route. A directory can appear between the look and the watch, so
// it looks again until there is nothing to add.
func (a *armed) arm(path string, holders bool) route {
	if a.blind = a.fs == nil; a.blind {
		return trace(path)
	}
	for range maxLinks {
		r := trace(path)
		want := r.dirs
		if holders {
			want = r.holders
		}
		if !a.adjust(want) {
			return r
		}
	}
	return trace(path)
}

// adjust watches exactly dirs, each by what is now at that path, and reports
// whether that added anything.
func (a *armed) adjust(dirs []string) (added bool) {
	a.blind = false
	for dir := range a.dirs {
		if !slices.Contains(dirs, dir) {
			a.fs.Remove(dir)
			delete(a.dirs, dir)
		}
	}
	watched := a.fs.WatchList()
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if old, ok := a.dirs[dir]; ok && os.SameFile(old, info) && slices.Contains(watched, dir) {
			continue
		}
		a.fs.Remove(dir) // what was there before
		delete(a.dirs, dir)
		if err := a.fs.Add(dir); err != nil {
			a.bar(dir, err)
			continue
		}
		a.dirs[dir] = info
		added = true
	}
	return added
}

// bar notes, once, a directory that cannot be watched: to read it takes a right
// that is not needed to connect to a socket in it.
func (a *armed) bar(dir string, err error) {
	a.blind = true
	if !a.barred[dir] {
		a.barred[dir] = true
		a.log.Info("cannot watch a directory for the Workload API's socket: looking into it while there is no connection",
			"dir", dir, "every", lookAgain, "error", err)
	}
}
