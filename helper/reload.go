package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/fswatch"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/health"
)

// settle is how long a file must be left alone before it is read: editors write
// in several steps.
const settle = 100 * time.Millisecond

// unsettled is how long that is waited for, at most: other files may come and go
// beside it all the time.
const unsettled = time.Second

// lookAgain is how often a file is looked at that cannot be watched.
const lookAgain = 2 * time.Second

// newWatcher makes a watcher; a user has only so many.
var newWatcher = fswatch.New

// requestReload has the configuration read again. It does not block.
func (d *daemon) requestReload() {
	select {
	case d.reload <- struct{}{}:
	default:
	}
}

// watchFile reads the configuration again when its file may have changed or
// a reload is asked for. It watches directories and not the file: editors rename
// a new file over it, and Kubernetes a link in the middle of its path.
func (d *daemon) watchFile(ctx context.Context) error {
	if info, err := os.Stat(d.options.File); d.options.File == "" || err == nil && !info.Mode().IsRegular() {
		<-ctx.Done() // a pipe can be read once
		return nil
	}
	watcher, err := newWatcher()
	if err != nil {
		watcher = &fswatch.Watcher{} // hears nothing
	} else {
		defer watcher.Close()
		err = d.watchPath(watcher)
	}
	var looks <-chan time.Time
	if err != nil {
		d.log.Info("cannot watch the configuration file: looking at it", "every", lookAgain, "error", err)
		ticker := time.NewTicker(lookAgain)
		defer ticker.Stop()
		looks = ticker.C
	}
	var seen os.FileInfo // nil: not looked at yet
	quiet := time.NewTimer(0)
	quiet.Stop()
	defer quiet.Stop()
	var since time.Time // of the first event that has not been followed; zero: none
	stirred := func() {
		if since.IsZero() {
			since = time.Now()
		}
		quiet.Reset(min(settle, time.Until(since.Add(unsettled))))
	}
	stirred() // it may have changed since it was read
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			stirred()
		case err := <-watcher.Errors:
			d.log.Warn("watching the configuration file", "error", err)
			stirred() // events may be lost
		case <-looks:
			now, _ := os.Stat(d.options.File)
			if !sameVersion(seen, now) {
				seen = now
				stirred()
			}
		case <-quiet.C:
			since = time.Time{}
			if looks == nil {
				if err := d.watchPath(watcher); err != nil {
					d.log.Warn("cannot watch the configuration file: another change may go unnoticed", "error", err)
				}
			}
			d.readAgain(ctx)
		case <-d.reload:
			d.forget() // a request is answered
			d.readAgain(ctx)
		}
	}
}

// sameVersion reports whether a file has not been changed or replaced. Nil is
// none.
func sameVersion(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// watchPath watches the directory that the file is named in, and the one that
// it really is in.
func (d *daemon) watchPath(watcher *fswatch.Watcher) error {
	err := watcher.Add(filepath.Dir(d.options.File))
	if real, e := filepath.EvalSymlinks(d.options.File); e == nil {
		err = errors.Join(err, watcher.Add(filepath.Dir(real)))
	}
	return err
}

// readAgain reads the configuration and, when it is valid and different, has it
// take the place of the running one.
func (d *daemon) readAgain(ctx context.Context) {
	if info, err := os.Stat(d.options.File); d.options.File != "" && err == nil && !info.Mode().IsRegular() {
		d.refuse("the new configuration is not read, the running one stays", fmt.Errorf("%s is not a regular file", d.options.File))
		return
	}
	c, err := d.options.Load()
	if err != nil {
		d.refuse("the new configuration is not valid, the running one stays", err)
		return
	}
	if reflect.DeepEqual(c, d.parts.Load().config) {
		d.settled("the file says again what is running")
		return
	}
	changed, err := d.apply(ctx, c)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.refuse("the new configuration cannot be used, the running one stays", err)
		return
	}
	now := time.Now()
	r := d.lastReload()
	d.reloaded.Store(&health.Reload{At: now, Done: r.Done + 1, Refused: r.Refused})
	d.events.Note(events.Event{Time: now, Event: events.Reloaded, Changed: changed})
	d.log.Info("the new configuration is in effect", "file", d.options.File, "changed", strings.Join(changed, ", "))
}

// apply has a new configuration take the place of the running one, and returns
// what it changes. What it does not change is not disturbed. On an error
// everything is as before.
func (d *daemon) apply(ctx context.Context, c *config.Config) (changed []string, err error) {
	old := d.parts.Load()
	p, err := d.newParts(c, old)
	if err == nil {
		err = d.publisher.Follow(ctx, d.plan(p, old))
	}
	if err != nil {
		if p != nil {
			p.discard(old)
		}
		return nil, err
	}
	d.follow(p, old)
	if old.config.Log != c.Log {
		d.log.Warn("the log block takes effect at the next start")
	}
	return changes(old.config, c), nil
}

// changes names the parts of the configuration that are not the same.
func changes(old, now *config.Config) []string {
	var names []string
	for _, part := range []struct {
		name     string
		old, now any
	}{
		{"agent_address", old.AgentAddress, now.AgentAddress},
		{"on_revoked", old.OnRevoked, now.OnRevoked},
		{"revocation_grace", old.RevocationGrace, now.RevocationGrace},
		{"events", old.Events, now.Events},
		{"output", old.Outputs, now.Outputs},
		{"process", old.Process, now.Process},
		{"hook", old.Hooks, now.Hooks},
		{"health", old.Health, now.Health},
		{"log", old.Log, now.Log},
	} {
		if !reflect.DeepEqual(part.old, part.now) {
			names = append(names, part.name)
		}
	}
	return names
}

// lastReload is what became of the file so far.
func (d *daemon) lastReload() health.Reload {
	if r := d.reloaded.Load(); r != nil {
		return *r
	}
	return health.Reload{}
}

// refuse says why a new configuration does not take effect, once: the file is
// read again for whatever happens beside it, and the log may be beside it.
func (d *daemon) refuse(message string, err error) {
	r := d.lastReload()
	if r.Problem == err.Error() {
		return
	}
	d.reloaded.Store(&health.Reload{At: time.Now(), Done: r.Done, Refused: r.Refused + 1, Problem: err.Error()})
	d.events.Note(events.Event{Event: events.Failed, Failed: "reload", Error: err.Error()})
	d.log.Error(message, "file", d.options.File, "error", err)
}

// settled notes that there is nothing to refuse any more.
func (d *daemon) settled(message string) {
	r := d.lastReload()
	if r.Problem == "" {
		return
	}
	d.reloaded.Store(&health.Reload{At: time.Now(), Done: r.Done, Refused: r.Refused})
	d.log.Info(message, "file", d.options.File)
}

// forget has the next refusal said even if it is the last one again.
func (d *daemon) forget() {
	r := d.lastReload()
	r.Problem = ""
	d.reloaded.Store(&r)
}
