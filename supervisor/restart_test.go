//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The contract: a process that ends is started again as the policy says, with a
// backoff, and never two at once.

// A fakeHost starts fakeProcesses, which end when the test says so. It lives in
// a synctest bubble, whose clock is the test's.
type fakeHost struct {
	changes chan os.Signal
	cancel  context.CancelFunc // ends Run's context

	mu      sync.Mutex // the test looks and changes from its own goroutine
	starts  int
	fail    error
	process *fakeProcess
	spec    *Spec    // of the last start
	jobs    []string // what was done for job control
}

func newFakeHost() *fakeHost { return &fakeHost{changes: make(chan os.Signal, 1)} }

func (h *fakeHost) open(*Spec) (<-chan os.Signal, <-chan os.Signal, func()) {
	return h.changes, nil, func() {}
}

// change lets the test set what the other goroutines read.
func (h *fakeHost) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// count is how many starts there were.
func (h *fakeHost) count() (n int) {
	h.change(func() { n = h.starts })
	return n
}

// looks is how often the supervisor has looked at what the process handles.
func (h *fakeHost) looks() (n int) {
	h.change(func() { n = h.process.looks })
	return n
}

// heard is what the process was sent.
func (h *fakeHost) heard() (signals []syscall.Signal) {
	h.change(func() { signals = slices.Clone(h.process.signals) })
	return signals
}

func (h *fakeHost) start(_ context.Context, spec *Spec) (process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.starts++
	h.spec = spec
	if h.fail != nil {
		return nil, h.fail
	}
	if h.process != nil && h.process.exit == nil {
		panic("two processes at once")
	}
	h.process = &fakeProcess{host: h, pid: h.starts, stopsWith: &Exit{Signal: syscall.SIGTERM}}
	return h.process, nil
}

func (h *fakeHost) suspend(process, syscall.Signal) {
	h.change(func() { h.jobs = append(h.jobs, "suspend") })
}

func (h *fakeHost) resume(process) bool {
	h.change(func() { h.jobs = append(h.jobs, fmt.Sprint("resume after ", h.process.signals)) })
	return true
}

// ends makes the process end, and lets the supervisor react.
func (h *fakeHost) ends(code int) {
	h.change(func() { h.process.end(Exit{Code: code}) })
	synctest.Wait()
}

type fakeProcess struct {
	host      *fakeHost
	pid       int
	halted    syscall.Signal // job control has stopped it since the last poll
	exit      *Exit
	reaped    bool
	stopsWith *Exit // at any signal; nil ignores it
	signals   []syscall.Signal
	killed    bool
	handles   signals.Handling
	looks     int
}

func (p *fakeProcess) end(e Exit) {
	e.At = time.Now()
	p.exit = &e
	p.host.changes <- syscall.SIGCHLD
}

func (p *fakeProcess) id() int { return p.pid }

func (p *fakeProcess) poll(time.Time) change {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	if sig := p.halted; sig != 0 {
		p.halted = 0
		return change{stopped: sig}
	}
	if p.exit == nil {
		return change{}
	}
	p.reaped = true
	return change{exit: p.exit}
}

func (p *fakeProcess) send(sig syscall.Signal) error {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	if p.reaped {
		panic("a reaped process is signalled")
	}
	p.signals = append(p.signals, sig)
	if p.stopsWith != nil && p.exit == nil && sig == syscall.SIGTERM {
		p.end(*p.stopsWith)
	}
	return nil
}

func (p *fakeProcess) kill() error {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	if p.reaped {
		panic("a reaped process is killed")
	}
	p.killed = true
	p.end(Exit{Signal: syscall.SIGKILL})
	return nil
}

func (p *fakeProcess) proceed() {
	p.host.change(func() { p.host.jobs = append(p.host.jobs, "proceed") })
}

func (p *fakeProcess) handling(syscall.Signal) signals.Handling {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	p.looks++
	return p.handles
}

// fake runs spec on a fakeHost in a bubble.
func fake(t *testing.T, spec Spec, f func(t *testing.T, s *Supervisor, h *fakeHost, result func() error)) {
	spec = chosen(spec)
	spec.Command = shell("exit")
	synctest.Test(t, func(t *testing.T) {
		if err := spec.prepare(); err != nil {
			t.Fatal(err)
		}
		h := newFakeHost()
		s := newSupervisor(&spec, h, discard)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h.cancel = cancel
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		f(t, s, h, func() error {
			s.Stop()
			return <-done
		})
	})
}

func TestBackoffOfAHundredCrashes(t *testing.T) {
	fake(t, Spec{Restart: RestartAlways}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		want := 500 * time.Millisecond
		for i := range 100 {
			h.ends(1)
			st := s.Status()
			wait := time.Until(st.Backoff)
			if st.State != StateBackoff || wait < want || wait > want+want/10 {
				t.Fatalf("crash %d: %s for %v, want backoff for %v, and up to a tenth more", i, st.State, wait, want)
			}
			time.Sleep(wait - time.Nanosecond)
			synctest.Wait()
			if h.count() != i+1 {
				t.Fatalf("crash %d: started before its time", i)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if h.count() != i+2 {
				t.Fatalf("crash %d: not started in time", i)
			}
			want = min(2*want, 30*time.Second)
		}
		if st := s.Status(); st.Starts != 101 || st.Restarts != 100 || st.LastExit.Status() != 1 {
			t.Errorf("status %+v", st)
		}
		// Half a minute of running, and all is forgotten.
		time.Sleep(30 * time.Second)
		h.ends(1)
		if wait := time.Until(s.Status().Backoff); wait > 550*time.Millisecond {
			t.Errorf("after 30s of running the backoff is %v", wait)
		}
		wantStatus(t, result(), 0)
	})
}

func TestJitterSpreads(t *testing.T) {
	lo, hi := math.Inf(1), math.Inf(-1)
	fake(t, Spec{Restart: RestartAlways}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		for range 200 {
			time.Sleep(30 * time.Second)
			h.ends(1)
			wait := time.Until(s.Status().Backoff).Seconds()
			lo, hi = min(lo, wait), max(hi, wait)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		wantStatus(t, result(), 143)
	})
	t.Logf("first backoff of 200: %.3fs to %.3fs", lo, hi)
	if lo < 0.5 || hi > 0.55 || hi-lo < 0.04 {
		t.Errorf("first backoff from %.3fs to %.3fs, want it spread over 0.5s to 0.55s", lo, hi)
	}
}

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy RestartPolicy
		code   int
		want   State
	}{
		{RestartNever, 0, StateDone}, {RestartNever, 1, StateDone},
		{RestartOnFailure, 0, StateDone}, {RestartOnFailure, 1, StateBackoff},
		{RestartAlways, 0, StateBackoff}, {RestartAlways, 1, StateBackoff},
		{RestartOnRotation, 0, StateWaiting}, {RestartOnRotation, 1, StateWaiting},
	} {
		t.Run(fmt.Sprintf("%s %d", c.policy, c.code), func(t *testing.T) {
			fake(t, Spec{Restart: c.policy}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
				s.Rotated()
				synctest.Wait()
				h.ends(c.code)
				if st := s.Status(); st.State != c.want {
					t.Errorf("state %s, want %s", st.State, c.want)
				}
				want := 0
				if c.want == StateDone {
					want = c.code
				}
				wantStatus(t, result(), want)
			})
		})
	}
}

func TestOnRotationStartsWhatHasEnded(t *testing.T) {
	fake(t, Spec{Restart: RestartOnRotation}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		for i := range 5 {
			s.Rotated()
			synctest.Wait()
			if h.count() != i+1 {
				t.Fatalf("rotation %d: %d starts", i, h.count())
			}
			h.ends(i)
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.handles = signals.Caught })
		s.Rotated() // this time it runs, and is signalled
		synctest.Wait()
		if h.count() != 6 || len(h.heard()) != 1 {
			t.Errorf("%d starts, signals %v", h.count(), h.heard())
		}
		wantStatus(t, result(), 143)
	})
}

func TestGivesUp(t *testing.T) {
	spec := Spec{Restart: RestartAlways, MaxRestarts: 3, RestartWindow: time.Minute}
	fake(t, spec, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		// Slow enough for the window, four times.
		for range 4 {
			time.Sleep(time.Minute)
			h.ends(1)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		for range 2 { // two more in this minute
			h.ends(1)
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		if st := s.Status(); st.State != StateRunning {
			t.Fatalf("gave up early: %+v", st)
		}
		h.ends(9)
		st := s.Status()
		if st.State != StateDone || st.Failure == "" {
			t.Errorf("status %+v, want done and a failure", st)
		}
		wantStatus(t, result(), 9)
	})
}

func TestRestartAtRotation(t *testing.T) {
	spec := Spec{OnRotation: Rotation{Action: RotationRestart}, StopTimeout: time.Minute}
	fake(t, spec, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.stopsWith = nil }) // takes its time
		for range 100 {
			s.Rotated()
			synctest.Wait()
		}
		if len(h.heard()) != 1 || h.heard()[0] != syscall.SIGTERM || h.count() != 1 {
			t.Fatalf("signals %v, %d starts, want one SIGTERM and no second process yet", h.heard(), h.count())
		}
		h.ends(5)
		synctest.Wait()
		if st := s.Status(); h.count() != 2 || st.State != StateRunning || st.Delivered != 101 {
			t.Fatalf("%d starts, status %+v", h.count(), st)
		}
		// One that does not end is ended.
		h.change(func() { h.process.stopsWith = nil })
		s.Rotated()
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Status(); h.count() != 3 || st.Delivered != 102 || st.LastExit.Signal != syscall.SIGKILL {
			t.Fatalf("%d starts, status %+v", h.count(), st)
		}
		wantStatus(t, result(), 143)
	})
}

// A process that never ends, and has no bound, keeps the next one waiting: that
// is no secret, and over when it ends.
func TestRestartThatIsOverdue(t *testing.T) {
	fake(t, Spec{OnRotation: Rotation{Action: RotationRestart}}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.stopsWith = nil })
		s.Rotated()
		time.Sleep(restartLate - time.Second)
		synctest.Wait()
		if st := s.Status(); st.State != StateStopping || st.Failure != "" {
			t.Fatalf("too early: %+v", st)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Status(); !strings.Contains(st.Failure, "asked to end for a restart 30s ago") || st.Delivered == st.Rotated {
			t.Fatalf("status %+v", st)
		}
		h.ends(0)
		synctest.Wait()
		if st := s.Status(); st.Failure != "" || st.State != StateRunning || st.Delivered != 2 {
			t.Fatalf("status %+v", st)
		}
		wantStatus(t, result(), 143)
	})
}

func TestSplay(t *testing.T) {
	for action, done := range map[RotationAction]func(*fakeHost) bool{
		RotationRestart: func(h *fakeHost) bool { return h.count() == 2 },
		RotationSignal:  func(h *fakeHost) bool { return len(h.heard()) == 1 },
	} {
		spec := Spec{OnRotation: Rotation{Action: action}, Splay: time.Hour}
		fake(t, spec, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
			began := time.Now()
			s.Rotated()
			synctest.Wait()
			if h.count() != 1 {
				t.Fatal("the first start is splayed")
			}
			h.change(func() { h.process.handles = signals.Caught })
			share := s.spec.splayDelay()
			for range 10 { // coalesce
				s.Rotated()
				time.Sleep(share / 20)
			}
			synctest.Wait()
			if done(h) {
				t.Fatal("not splayed")
			}
			time.Sleep(share - share/20*10)
			synctest.Wait()
			if !done(h) || s.Status().Delivered != 11 {
				t.Errorf("action %d: not done after its splay of %v: %+v", action, share, s.Status())
			}
			t.Logf("splay of 1h: this process's share is %v", share.Round(time.Second))
			if share <= 0 || share >= time.Hour || time.Since(began) > time.Hour {
				t.Errorf("share %v", share)
			}
			began = time.Now()
			wantStatus(t, result(), 143)
			if time.Since(began) != 0 {
				t.Error("the stop is splayed")
			}
		})
	}
}

func TestRestartOnDemand(t *testing.T) {
	fake(t, Spec{Splay: time.Hour}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Restart() // of nothing
		synctest.Wait()
		s.Rotated()
		synctest.Wait()
		for i := range 10 {
			s.Restart()
			synctest.Wait()
			if h.count() != i+2 {
				t.Fatalf("restart %d: %d starts", i, h.count())
			}
		}
		wantStatus(t, result(), 143)
	})
}

func TestStartThatFailsLater(t *testing.T) {
	fake(t, Spec{Restart: RestartAlways}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		h.ends(1)
		h.change(func() { h.fail = errors.New("resource temporarily unavailable") })
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Status(); st.State != StateBackoff || st.Failure == "" || st.LastExit.Code != 126 {
			t.Errorf("status %+v", st)
		}
		h.change(func() { h.fail = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := s.Status(); st.State != StateRunning || st.Failure != "" {
			t.Errorf("status %+v", st)
		}
		wantStatus(t, result(), 143)
	})
}
