package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/fswatch"
)

// settle is how long a file must be left alone before it is read: editors write
// in several steps.
const settle = 100 * time.Millisecond

// unsettled is how long that is waited for, at most: other files may come and go
// beside it all the time.
const unsettled = time.Second

// lookAgain is how often a file is looked at that cannot be watched, or is not valid.
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
	unwatched := ""
	read := func() {
		if looks == nil {
			err := d.watchPath(watcher)
			said := fmt.Sprint(err)
			if err != nil && said != unwatched {
				d.log.Warn("cannot watch the configuration file: another change may go unnoticed", "error", err)
			}
			unwatched = said
		}
		before := d.templates()
		switch invalid := d.readAgain(ctx); {
		case invalid:
			quiet.Reset(lookAgain) // a template that it names may be missing in a directory that is not watched
		case !slices.Equal(d.templates(), before):
			stirred() // the new ones are to be watched, and may have changed meanwhile
		}
	}
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
			if !sameVersion(seen, now) || len(d.templates()) > 0 { // which are compared when they are read
				seen = now
				stirred()
			}
		case <-quiet.C:
			since = time.Time{}
			read()
		case <-d.reload:
			d.forget() // a request is answered
			done := d.systemd.Reloading()
			read()
			done()
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

// watchPath watches the directories that the file and its templates are named in, and
// those that they really are in.
func (d *daemon) watchPath(watcher *fswatch.Watcher) error {
	var errs []error
	for _, file := range append(d.templates(), d.options.File) {
		errs = append(errs, watcher.Add(filepath.Dir(file)))
		if real, err := filepath.EvalSymlinks(file); err == nil {
			errs = append(errs, watcher.Add(filepath.Dir(real)))
		}
	}
	return errors.Join(errs...)
}

// templates are the files of the templates of the running configuration.
func (d *daemon) templates() (files []string) {
	for _, o := range d.parts.Load().config.Outputs {
		for _, t := range o.Templates {
			if t.From != "" {
				files = append(files, t.From)
			}
		}
	}
	return files
}
