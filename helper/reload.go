package helper

import (
	"context"
	"path/filepath"
	"reflect"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long a file must be left alone before it is read: editors write
// in several steps.
const settle = 100 * time.Millisecond

// unsettled is how long that is waited for, at most: other files may come and go
// beside it all the time.
const unsettled = time.Second

// requestReload has the configuration read again. It does not block.
func (d *daemon) requestReload() {
	select {
	case d.reload <- struct{}{}:
	default:
	}
}

// watchFile reads the configuration again when its file may have changed or
// somebody asks for it. It watches directories and not the file: editors rename
// a new file over it, and Kubernetes a link in the middle of its path.
func (d *daemon) watchFile(ctx context.Context) error {
	if d.options.File == "" {
		<-ctx.Done()
		return nil
	}
	// A buffer, since on Windows to add a watch is to wait for the goroutine
	// that hands over the events, and who adds them here also receives them.
	watcher, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		d.log.Warn("the configuration file is not watched; SIGHUP has it read again where there is no process", "error", err)
		watcher = &fsnotify.Watcher{}
	} else {
		defer watcher.Close()
		d.watchPath(watcher)
	}
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
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			stirred()
		case err := <-watcher.Errors:
			d.log.Warn("watching the configuration file", "error", err)
			stirred() // events may be lost
		case <-quiet.C:
			since = time.Time{}
			d.watchPath(watcher)
			d.readAgain(ctx)
		case <-d.reload:
			d.readAgain(ctx)
		}
	}
}

// watchPath watches the directory that the file is named in, and the one that
// it really is in.
func (d *daemon) watchPath(watcher *fsnotify.Watcher) {
	dirs := []string{filepath.Dir(d.options.File)}
	if real, err := filepath.EvalSymlinks(d.options.File); err == nil {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		if err := watcher.Add(dir); err != nil {
			d.log.Warn("the configuration's directory is not watched", "directory", dir, "error", err)
		}
	}
}

// readAgain reads the configuration and, when it is valid and different, has it
// take the place of the running one.
func (d *daemon) readAgain(ctx context.Context) {
	c, err := d.options.Load()
	if err != nil {
		d.log.Error("the new configuration is not valid, the running one stays", "error", err)
		return
	}
	if reflect.DeepEqual(c, d.config) {
		return
	}
	if err := d.apply(ctx, c); err != nil {
		d.log.Error("the new configuration cannot be used, the running one stays", "error", err)
		return
	}
	d.log.Info("the new configuration is in effect", "file", d.options.File)
}
