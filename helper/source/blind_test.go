package source

import (
	"errors"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/fswatch"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// withoutWatchers has every watcher fail, as when the user is out of inotify
// instances: 128 are for all processes of a user, on all containers of a node.
func withoutWatchers(t *testing.T) {
	real := newWatcher
	newWatcher = func() (*fswatch.Watcher, error) { return nil, errors.New("too many open files") }
	t.Cleanup(func() { newWatcher = real })
}

// After an outage it took as long as the backoff had grown.
func TestConnectedPromptlyWithoutInotify(t *testing.T) {
	withoutWatchers(t)
	promptly(t, "down 1 s", func(p *testbed.Pulse) []sample { return outages(t, p, devapi.Config{}, time.Second, 2) })
	promptly(t, "down 100 ms", func(p *testbed.Pulse) []sample { return outages(t, p, devapi.Config{}, 100*time.Millisecond, 10) })
	for _, how := range []string{"directory and socket", "directory replaced as a whole", "link switched to another directory"} {
		promptly(t, how, func(p *testbed.Pulse) []sample { return []sample{appearsAfter(t, p, how, 500*time.Millisecond)} })
	}
}
