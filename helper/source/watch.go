package source

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/svidhelper/svidhelper/fswatch"
)

// A socketWatch hears when a Unix socket appears or is replaced. Its directory
// need not exist, may be replaced as a whole, and any part of the path may be a
// symbolic link: while there is no connection, every directory that the path
// leads through is watched. While there is one, only those that hold the socket
// or a link to it are, so that a busy /tmp or /run causes no wake-ups.
//
// Where no watch is possible (a user is out of inotify instances, a directory
// may be entered and not read) it looks by itself, but only while there is no
// connection.
type socketWatch struct {
	path string
	log  *slog.Logger
	// events tells of a socket that is new, or has new rights. Capacity 1.
	events chan struct{}
	// modes tells whether there is a connection. Capacity 1, latest wins.
	modes chan bool
	// seen is the socket that was there before the first attempt to connect: it
	// is no news.
	seen socketID
}

// lookAgain is how often a path is looked at that cannot be watched.
const lookAgain = 50 * time.Millisecond

// newWatcher makes a watcher; a user has only so many.
var newWatcher = fswatch.New

func newSocketWatch(path string, log *slog.Logger) *socketWatch {
	return &socketWatch{
		path: path, log: log, seen: identify(path),
		events: make(chan struct{}, 1), modes: make(chan bool, 1),
	}
}

// connected tells the watch whether there is a connection. It does not block;
// one goroutine calls it.
func (w *socketWatch) connected(yes bool) {
	if w == nil {
		return
	}
	select {
	case <-w.modes:
	default:
	}
	w.modes <- yes
}

// changed returns the channel of events; for no watch, one that never delivers.
func (w *socketWatch) changed() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.events
}

// socket returns what is there now; for no watch, none.
func (w *socketWatch) socket() socketID {
	if w == nil {
		return socketID{}
	}
	return identify(w.path)
}

// hesitation is how long a socket that is there from the start is not watched,
// unless it refuses.
const hesitation = 50 * time.Millisecond

// hesitate lets what is over soon, as a one-shot is, do without a watch: to begin
// one takes the kernel long in a directory of many names. It returns whether
// there is a connection by then.
func (w *socketWatch) hesitate(ctx context.Context) (connected bool) {
	if !w.seen.exists() {
		return false
	}
	timer := time.NewTimer(hesitation)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return connected
		case <-timer.C:
			return connected
		case connected = <-w.modes:
			if !connected {
				return false
			}
		}
	}
}

// run watches until ctx ends.
func (w *socketWatch) run(ctx context.Context) {
	connected, touched := w.hesitate(ctx), false
	if ctx.Err() != nil {
		return
	}
	fs, err := newWatcher()
	if err != nil {
		w.log.Info("cannot watch for the Workload API's socket: looking for it while there is no connection",
			"path", w.path, "every", lookAgain, "error", err)
		fs = nil
	} else {
		defer fs.Close()
	}
	a := armed{fs: fs, log: w.log, dirs: make(map[string]os.FileInfo), barred: make(map[string]bool)}
	for {
		r := a.arm(w.path, connected)
		now := identify(w.path)
		if now.exists() && (touched || !now.same(w.seen) || now.mode() != w.seen.mode()) {
			select {
			case w.events <- struct{}{}:
			default:
			}
		}
		w.seen = now
		var blink <-chan time.Time
		if a.blind && !connected {
			blink = time.After(lookAgain)
		}
		if connected, touched, err = w.wait(ctx, fs, r, blink, connected); err != nil {
			return
		}
	}
}

// wait waits until it is worth looking again, and returns whether there is a
// connection by then, and whether the socket itself was touched.
func (w *socketWatch) wait(ctx context.Context, fs *fswatch.Watcher, r route, blink <-chan time.Time, connected bool) (bool, bool, error) {
	if fs == nil {
		fs = &fswatch.Watcher{} // hears nothing
	}
	for {
		select {
		case <-ctx.Done():
			return false, false, ctx.Err()
		case connected = <-w.modes:
			return connected, false, nil
		case <-blink:
			return connected, false, nil
		case ev := <-fs.Events:
			if socket, ok := r.names[ev.Name]; ok {
				return connected, socket, nil
			}
		case <-fs.Errors: // events were lost
			return connected, false, nil
		}
	}
}

// A socketID tells one socket from another at the same path. The zero value is
// none.
type socketID struct{ info os.FileInfo }

// identify returns what is at path.
func identify(path string) socketID {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return socketID{}
	}
	return socketID{info}
}

func (s socketID) exists() bool { return s.info != nil }

// mode returns the socket's rights; of none, none.
func (s socketID) mode() os.FileMode {
	if s.info == nil {
		return 0
	}
	return s.info.Mode()
}

// same reports whether both are the same socket. The number of an inode is
// given out again soon, so the time counts too.
func (s socketID) same(o socketID) bool {
	return s.exists() == o.exists() &&
		(!s.exists() || os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()))
}
