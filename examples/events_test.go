//go:build linux

package examples_test

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An event is one line of svidhelper's event stream.
type event struct {
	Event     string
	Rotations int // that the target has been told of
	Serial    string
	Want      string
	Latency   float64 `json:"latency_seconds"`
	Failed    string
}

// events is svidhelper's event stream, read as it is written: the file is a
// FIFO.
type events struct {
	path string

	mu      sync.Mutex
	all     []event
	changed chan struct{} // closed and replaced when all grows
}

func newEvents(t *testing.T, path string) *events {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // svidhelper may be another user
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDWR, 0) // never sees the end
	if err != nil {
		t.Fatal(err)
	}
	es := &events{path: path, changed: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(fifo); lines.Scan(); {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("event stream: %v in %q", err, lines.Text())
			}
			es.add(e)
		}
	}()
	t.Cleanup(func() { fifo.Close(); <-read })
	return es
}

func (es *events) add(e event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.all = append(es.all, e)
	close(es.changed)
	es.changed = make(chan struct{})
}

// has reports whether there has been such an event.
func (es *events) has(matches func(event) bool) bool {
	es.mu.Lock()
	defer es.mu.Unlock()
	return slices.ContainsFunc(es.all, matches)
}

// await waits for an event, and fails the test when svidhelper ends before it.
func (es *events) await(t *testing.T, p *running, what string, matches func(event) bool) event {
	t.Helper()
	timeout := time.After(2 * patience)
	for seen := 0; ; {
		es.mu.Lock()
		all, changed := es.all, es.changed
		es.mu.Unlock()
		for ; seen < len(all); seen++ {
			if matches(all[seen]) {
				return all[seen]
			}
		}
		select {
		case <-changed:
		case <-p.done:
			t.Fatalf("no %s: ended, %v", what, p.cmd.ProcessState)
		case <-timeout:
			t.Fatalf("no %s within %v", what, 2*patience)
		}
	}
}
