package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/svidhelper/svidhelper/helper/printable"
)

// socketVariable names the socket of the service manager, and in the process's
// environment that of the helper.
const socketVariable = "NOTIFY_SOCKET"

// The helper asks for extension more time each time, and does so every
// extendEvery.
const (
	extension   = time.Minute
	extendEvery = 15 * time.Second
)

// A Helper is what the service manager is told of.
type Helper interface {
	// Changed hears that there may be something new to report.
	Changed() <-chan struct{}
	Report() Report
	// Turns waits until every loop of the helper has come round once. Its error
	// says which did not before ctx ended.
	Turns(ctx context.Context) error
}

// A Report is how the helper is doing at one moment.
type Report struct {
	// Published says that every output is on disk.
	Published bool
	// Started says that the process has been started, or that there is none.
	Started bool
	// Relays says that the process tells by itself when it is ready.
	Relays bool
	// Ending says that the process was asked to end, and the helper ends with it.
	Ending bool
	// Text is one line for people.
	Text string
}

// A Manager is the service manager, as the helper sees it. The methods of a nil
// Manager do nothing.
type Manager struct {
	log      *slog.Logger
	relay    *relay // nil: the process cannot be heard
	watchdog time.Duration

	// mu is held while a message is sent: otherwise one goroutine could send READY
	// after another has sent STOPPING.
	mu        sync.Mutex
	ready     bool   // READY=1 was sent
	reloading bool   // RELOADING=1 was sent, and no READY=1 since
	stopping  bool   // STOPPING=1 was sent
	text      string // the last STATUS
	heard     heard  // from the process
	failed    bool   // the last message could not be sent
	hangs     bool   // the last beat was left out
}

// New returns the service manager that NOTIFY_SOCKET names, or nil if it names
// none.
func New(log *slog.Logger) *Manager {
	if os.Getenv(socketVariable) == "" {
		return nil
	}
	m := &Manager{log: log}
	var err error
	if m.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("systemd's watchdog is not told", "error", err)
	}
	if m.relay, err = newRelay(); err != nil {
		log.Warn("a process with notify = true cannot be heard", "error", err)
	}
	return m
}

// Environ is what a process that speaks the protocol finds in its environment.
func (m *Manager) Environ() []string {
	if m == nil || m.relay == nil {
		return nil
	}
	return []string{socketVariable + "=" + m.relay.address}
}

// Close gives back what New took. It is for a Manager that does not come to run.
func (m *Manager) Close() {
	if m != nil && m.relay != nil {
		m.relay.close()
	}
}

// Run tells the service manager of the helper until ctx ends.
func (m *Manager) Run(ctx context.Context, h Helper) error {
	var (
		listening sync.WaitGroup
		messages  <-chan message
		beats     <-chan time.Time
	)
	if m.relay != nil {
		messages = m.relay.messages
		listening.Go(m.relay.run)
		defer listening.Wait()
		defer m.relay.close()
	}
	if m.watchdog > 0 {
		beat := time.NewTicker(m.watchdog / 2)
		defer beat.Stop()
		beats = beat.C
	}
	waiting := time.NewTicker(extendEvery)
	defer waiting.Stop()
	m.extend(ctx, h)
	for {
		r := h.Report()
		m.tell(r)
		if r.Published {
			waiting.Stop()
		}
		select {
		case <-ctx.Done():
			m.stop()
			return nil
		case <-h.Changed():
		case said := <-messages:
			m.hear(said)
		case <-waiting.C:
			m.extend(ctx, h)
		case <-beats:
			if m.turns(ctx, h, m.watchdog/2) {
				m.say(daemon.SdNotifyWatchdog)
			}
		}
	}
}

// extend asks for more time, if the helper's loops turn.
func (m *Manager) extend(ctx context.Context, h Helper) {
	if m.turns(ctx, h, extendEvery) {
		m.say(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()))
	}
}

// turns reports whether the helper's loops turn, and says so in the log when they
// do not.
func (m *Manager) turns(ctx context.Context, h Helper, limit time.Duration) bool {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := h.Turns(limited)
	if err != nil && ctx.Err() == nil && !m.hangs {
		m.log.Error("svidhelper hangs: systemd is told nothing until this ends", "error", err)
	}
	m.hangs = err != nil
	return err == nil
}

// tell says what is new in a report.
func (m *Manager) tell(r Report) {
	if r.Ending {
		m.stop()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopping {
		return
	}
	var lines []string
	if !m.ready && r.Published && r.Started && (!r.Relays || m.heard.ready) {
		m.ready = true
		lines = append(lines, daemon.SdNotifyReady)
	}
	text := r.Text
	if m.heard.text != "" {
		text += "; the process says: " + m.heard.text
	}
	text = printable.Line(text, maxStatus)
	if text != m.text {
		m.text = text
		lines = append(lines, "STATUS="+text)
	}
	m.send(lines...)
}

// hear passes on what the process says of itself.
func (m *Manager) hear(said message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard.note(said)
	if said.extend != "" {
		m.send("EXTEND_TIMEOUT_USEC=" + said.extend)
	}
	switch {
	case m.stopping || !m.ready:
	case said.reloading != "":
		m.reloading = true
		m.send(daemon.SdNotifyReloading, "MONOTONIC_USEC="+said.reloading)
	case said.ready && m.reloading:
		m.reloading = false
		m.send(daemon.SdNotifyReady)
	}
}

// Reloading says that the helper is about to follow a new configuration, or that
// it passes a request to do so on, until done is called.
func (m *Manager) Reloading() (done func()) {
	if m == nil {
		return func() {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready || m.stopping || m.reloading {
		return func() {}
	}
	m.reloading = true
	m.send(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.reloading && !m.stopping {
			m.reloading = false
			m.send(daemon.SdNotifyReady)
		}
	}
}

// stop says that the helper is about to end. Nothing but the process's wish for
// time is said after it.
func (m *Manager) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopping {
		m.stopping = true
		m.send(daemon.SdNotifyStopping, "STATUS=stopping")
	}
}

// say sends a message, unless the helper is about to end.
func (m *Manager) say(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopping {
		m.send(line)
	}
}

// send sends lines as one message. The Manager is locked.
func (m *Manager) send(lines ...string) {
	if len(lines) == 0 {
		return
	}
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	if err != nil && !m.failed {
		m.log.Warn("systemd cannot be told how svidhelper is doing", "error", err)
	}
	m.failed = err != nil
}
