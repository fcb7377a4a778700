// Package hook tells others than the helper's own process of rotations: it runs a
// command, or signals the process that a pid file or a name stands for. It knows
// nothing of SPIFFE, and nothing of the supervisor. Each way to tell a target is a
// file of this package, named by a field of Spec.
package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	exponential "github.com/cenkalti/backoff/v5"
	"github.com/svidhelper/svidhelper/supervisor/internal/splay"
)

// A Hook tells one target, beside the process, of rotations: it runs a command,
// or signals the process that a pid file or a name stands for.
//
// It promises: a target is told at least once after the last Rotated, unless
// its command has failed as often as it may; notices that arrive while it is
// busy coalesce into one; nothing that a target does, or fails to do, holds the
// caller, another hook, or the end of Run.
//
// It does not promise that a target did what it was told: that is for a proof
// to find out.
type Hook struct {
	spec    Spec
	log     *slog.Logger
	target  target
	bell    chan struct{}
	updates chan struct{}

	mu     sync.Mutex
	fresh  bool   // notice has something that Run has not taken yet
	again  bool   // Again was called, and neither a notification nor Heard has followed
	notice Notice // what Rotated said since Run last took it
	status Status
}

// Status is what has become of a hook's notifications.
type Status struct {
	Name string
	// Asked counts the calls of Rotated; Delivered counts those that a
	// successful notification covers. The target is up to date when they are
	// equal.
	Asked, Delivered uint64
	// Runs counts the attempts to notify, Failures those that failed.
	Runs, Failures uint64
	// LastError is why the last attempt failed; nil if it did not.
	LastError error
	// LastDelivered is when the target was last told.
	LastDelivered time.Time
}

// A target can be told. All of its methods are called from Run's goroutine.
type target interface {
	// notify tells the target, once. again says that this is one more attempt
	// at the same notice. It ends soon after ctx.
	notify(ctx context.Context, n Notice, again bool) error
	// retries is how often a failed notify is tried again; negative is
	// without end.
	retries() int
}

// backoff is the wait before a failed notification is tried again. A pid file or a
// process that is not there yet costs little to look for, and may come at any
// moment.
func (h *Hook) backoff() *exponential.ExponentialBackOff {
	longest := 5 * time.Second
	if len(h.spec.Command) > 0 {
		longest = 30 * time.Second
	}
	return &exponential.ExponentialBackOff{
		InitialInterval:     500 * time.Millisecond,
		Multiplier:          2,
		RandomizationFactor: 0.2,
		MaxInterval:         longest,
	}
}

// New returns a hook that does nothing until it runs. It touches neither
// the command nor the process: they may come later.
func New(spec Spec, log *slog.Logger) (*Hook, error) {
	log = log.With("hook", spec.Name)
	target, err := newTarget(spec, log)
	if err != nil {
		return nil, fmt.Errorf("hook %q: %w", spec.Name, err)
	}
	return newHook(spec, target, log), nil
}

func newHook(spec Spec, target target, log *slog.Logger) *Hook {
	return &Hook{
		spec:    spec,
		log:     log,
		target:  target,
		bell:    make(chan struct{}, 1),
		updates: make(chan struct{}, 1),
		status:  Status{Name: spec.Name},
	}
}

func newTarget(spec Spec, log *slog.Logger) (target, error) {
	set := 0
	for _, is := range []bool{len(spec.Command) > 0, spec.PIDFile != "", spec.ProcessName != ""} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, errors.New("give exactly one of a command, a pid file and a process name")
	case spec.Timeout < 0 || spec.Retries < 0 || spec.Splay < 0 || spec.MinInterval < 0:
		return nil, errors.New("timeout, retries, splay and min_interval must not be negative")
	case spec.Owner != "" && spec.ProcessName == "":
		return nil, errors.New("owner is for a process name")
	case len(spec.Command) > 0:
		return newCommand(spec, log)
	default:
		return newSignaller(spec, log)
	}
}

// Rotated asks for a notification. It never blocks.
func (h *Hook) Rotated(n Notice) { h.ask(n, 1) }

// Again asks for one more notification of what the target has been told of, at
// once. It is no rotation, and never blocks.
func (h *Hook) Again() { h.ask(Notice{First: true}, 0) }

// Heard withdraws Again: the target was seen to have heard, so that it is no failure if
// it could not be told once more. A rotation of which it has not been told stays due. It
// never blocks.
func (h *Hook) Heard() {
	h.mu.Lock()
	h.again = false
	if !h.owed() {
		h.status.LastError = nil
	}
	h.mu.Unlock()
	ring(h.updates)
}

// owed reports whether there is anything to tell. The hook is locked.
func (h *Hook) owed() bool { return h.again || h.status.Delivered < h.status.Asked }

func (h *Hook) ask(n Notice, rotations uint64) {
	h.mu.Lock()
	if h.fresh {
		n = h.notice.merge(n)
	}
	h.notice, h.fresh = n, true
	h.status.Asked += rotations
	h.again = h.again || rotations == 0
	h.mu.Unlock()
	ring(h.bell)
	ring(h.updates)
}

// Status returns what has become of the notifications so far.
func (h *Hook) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status
}

// Updates hears that Status has changed; several changes may be one message.
func (h *Hook) Updates() <-chan struct{} { return h.updates }

// due is what the target has to be told, and how many calls of Rotated that
// covers.
type due struct {
	Notice
	asked uint64
}

// Run tells the target of rotations until ctx ends, and then returns nil within
// milliseconds: a command that runs is killed with its process group.
func (h *Hook) Run(ctx context.Context) error {
	var (
		d     due
		tries int // failed ones of this notice
		retry <-chan time.Time
		wait  = h.backoff()
	)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.bell:
			if !h.take(&d) {
				continue
			}
			tries = 0
			if retry != nil {
				continue // a target that fails keeps its backoff
			}
			if !h.pause(ctx, &d) {
				return nil
			}
		case <-retry:
		}
		retry = nil
		if h.take(&d) {
			tries = 0
		}
		if h.withdrawn() {
			d, tries = due{}, 0
			wait.Reset()
			continue
		}
		err := h.target.notify(ctx, d.Notice, tries > 0)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			h.delivered(d.asked)
			d, tries = due{}, 0
			wait.Reset()
			continue
		}
		tries++
		again := h.target.retries() < 0 || tries <= h.target.retries()
		h.failed(err, tries, again)
		if !again {
			wait.Reset() // the next rotation starts anew
			continue
		}
		retry = time.After(wait.NextBackOff())
	}
}

// take adds what Rotated said to d, and reports whether there was anything.
func (h *Hook) take(d *due) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.fresh {
		return false
	}
	if d.asked == 0 {
		d.Notice = h.notice
	} else {
		d.Notice = d.merge(h.notice)
	}
	d.asked = h.status.Asked
	h.notice, h.fresh = Notice{}, false
	return true
}

// withdrawn reports whether Heard has left nothing to tell.
func (h *Hook) withdrawn() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.owed()
}

// pause waits for this target's moment, gathering what arrives meanwhile: its
// share of the splay, and the least interval since the last notification. It
// reports false when ctx ended.
func (h *Hook) pause(ctx context.Context, d *due) bool {
	wait := splay.Delay(splay.Identity(h.spec.Name), h.spec.Splay)
	if d.First {
		wait = 0
	}
	if last := h.Status().LastDelivered; !last.IsZero() {
		wait = max(wait, h.spec.MinInterval-time.Since(last))
	}
	moment := time.NewTimer(wait)
	defer moment.Stop()
	for wait > 0 {
		select {
		case <-ctx.Done():
			return false
		case <-moment.C:
			return true
		case <-h.bell:
			h.take(d)
			if d.First && h.spec.MinInterval == 0 {
				return true
			}
		}
	}
	return true
}

func (h *Hook) delivered(asked uint64) {
	h.mu.Lock()
	h.status.Runs++
	h.status.Delivered = asked
	h.status.LastError = nil
	h.again = h.again && h.fresh // asked for meanwhile
	h.status.LastDelivered = time.Now()
	h.mu.Unlock()
	ring(h.updates)
}

// failed notes and logs that so many attempts at a notice have failed, and whether
// there is another one.
func (h *Hook) failed(err error, tries int, again bool) {
	h.mu.Lock()
	last := h.status.LastError
	h.status.Runs++
	h.status.Failures++
	if h.owed() { // and not withdrawn meanwhile
		h.status.LastError = err
	}
	h.mu.Unlock()
	ring(h.updates)

	switch {
	case !again:
		h.log.Error("hook failed, it is not told of this rotation", "error", err)
	case tries == 1 || last == nil || last.Error() != err.Error():
		// once for each cause and rotation: a pid file may be missing for days
		h.log.Warn("hook failed, trying again", "error", err)
	}
}

// ring makes sure that a message waits in c.
func ring(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
