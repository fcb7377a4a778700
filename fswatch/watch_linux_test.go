package fswatch

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func watcher(t *testing.T, dirs ...string) *Watcher {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	for _, d := range dirs {
		if err := w.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// await waits for the operation on the path, whatever comes before it.
func await(t *testing.T, w *Watcher, path string, op fsnotify.Op) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-w.Events:
			if e.Name == path && e.Has(op) {
				return
			}
		case err := <-w.Errors:
			t.Fatal(err)
		case <-timeout:
			t.Fatalf("%s of %s was not heard of", op, path)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHearsOfEveryChangeOfAName(t *testing.T) {
	dir := t.TempDir()
	w := watcher(t, dir)
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	go func() {
		_ = os.WriteFile(a, []byte("x"), 0o600)
		_ = os.Chmod(a, 0o400)
		_ = os.Rename(a, b)
		_ = os.Remove(b)
	}()
	await(t, w, a, fsnotify.Create)
	await(t, w, a, fsnotify.Write)
	await(t, w, a, fsnotify.Chmod)
	await(t, w, a, fsnotify.Rename)
	await(t, w, b, fsnotify.Create)
	await(t, w, b, fsnotify.Remove)
}

func TestDirectoryReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	must(t, os.Mkdir(dir, 0o700))
	w := watcher(t, dir)
	must(t, os.Rename(dir, dir+".old"))
	await(t, w, dir, fsnotify.Rename)
	must(t, os.Mkdir(dir, 0o700))
	must(t, w.Add(dir))
	must(t, os.WriteFile(filepath.Join(dir, "new"), nil, 0o600))
	await(t, w, filepath.Join(dir, "new"), fsnotify.Create)
}

func TestLinkLeadsElsewhere(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"one", "two"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("one", link))
	w := watcher(t, link)
	must(t, os.Remove(link))
	must(t, os.Symlink("two", link))
	must(t, w.Add(link))
	must(t, os.WriteFile(filepath.Join(dir, "one", "no"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "two", "yes"), nil, 0o600))
	select {
	case e := <-w.Events:
		if e.Name != filepath.Join(link, "yes") {
			t.Errorf("%s was heard of: the link leads elsewhere by now", e)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was heard of")
	}
}

func TestRemovedIsSilent(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	w := watcher(t, one, two)
	must(t, w.Remove(one))
	if list := w.WatchList(); len(list) != 1 || list[0] != two {
		t.Errorf("watched are %q", list)
	}
	if err := w.Remove(one); err == nil {
		t.Error("removed twice without an error")
	}
	must(t, os.WriteFile(filepath.Join(one, "a"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(two, "a"), nil, 0o600))
	select {
	case e := <-w.Events:
		if e.Name != filepath.Join(two, "a") {
			t.Error(e)
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing was heard of")
	}
}

func TestCloseEndsBothChannels(t *testing.T) {
	dir := t.TempDir()
	w := watcher(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, "a"), nil, 0o600)) // an event that is not taken
	must(t, w.Close())
	must(t, w.Close())
	timeout := time.After(10 * time.Second)
	for events, errs := w.Events, w.Errors; events != nil || errs != nil; {
		select {
		case _, ok := <-events:
			if !ok {
				events = nil
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
			}
		case <-timeout:
			t.Fatal("a channel is open after Close")
		}
	}
	if err := w.Add(dir); err == nil {
		t.Error("a closed watcher watches")
	}
}

func TestWhatCannotBeWatched(t *testing.T) {
	w := watcher(t)
	if err := w.Add(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("the error is %v", err)
	}
}
