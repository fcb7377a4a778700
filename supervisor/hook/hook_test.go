package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/splay"
	"go.uber.org/goleak"
)

// fakeTarget is told by calling tell, which may block.
type fakeTarget struct {
	tell  func(ctx context.Context, n Notice) error
	again int

	attempts []bool // whether each was one more of the same
}

func (f *fakeTarget) notify(ctx context.Context, n Notice, again bool) error {
	f.attempts = append(f.attempts, again)
	return f.tell(ctx, n)
}
func (f *fakeTarget) retries() int { return f.again }

// hookLog keeps what is logged, for the tests where the log is the contract.
type hookLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *hookLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *hookLog) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.lines {
		if strings.Contains(s, part) {
			n++
		}
	}
	return n
}

func (l *hookLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// runHook runs h until the test ends, and fails the test if Run does not end at
// once, or leaves anything behind.
func runHook(t *testing.T, h *Hook) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	stop = sync.OnceValue(func() time.Duration {
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		return time.Since(began)
	})
	t.Cleanup(func() { stop() })
	return stop
}

// await waits until the hook's status is as wanted.
func await(t *testing.T, h *Hook, what string, is func(Status) bool) Status {
	t.Helper()
	limit := time.After(hookPatience)
	for {
		if s := h.Status(); is(s) {
			return s
		}
		select {
		case <-h.Updates():
		case <-limit:
			t.Fatalf("%s: never; status is %+v", what, h.Status())
		}
	}
}

// hookPatience is how long a test waits for what has to happen on a busy
// machine.
const hookPatience = 30 * time.Second

func told(s Status) bool   { return s.Asked > 0 && s.Delivered == s.Asked }
func failed(s Status) bool { return s.Failures > 0 }

func noLeak(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		// A command that was killed may take a while to die.
		for late := time.Now().Add(hookPatience); ; {
			err := goleak.Find(before) // which is patient for half a second
			if err == nil {
				return
			}
			if time.Now().After(late) {
				t.Error(err)
				return
			}
		}
	})
}

func TestHookCoalescesWhileTheTargetIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Notice
		var last time.Time
		target := &fakeTarget{tell: func(ctx context.Context, n Notice) error {
			got, last = append(got, n), time.Now()
			time.Sleep(90 * time.Millisecond)
			return nil
		}}
		h := newHook(Spec{Name: "slow"}, target, slog.New(slog.DiscardHandler))
		runHook(t, h)
		for i := range 100 {
			h.Rotated(Notice{
				Env:   []string{fmt.Sprintf("SERIAL=%d", i)},
				Event: fmt.Appendf(nil, `{"n":%d}`, i),
			})
			time.Sleep(10 * time.Millisecond)
		}
		asked := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := h.Status(); s.Delivered != 100 || s.Asked != 100 {
			t.Errorf("delivered %d of %d, want all 100", s.Delivered, s.Asked)
		}
		if len(got) < 2 || len(got) > 13 {
			t.Errorf("notified %d times", len(got))
		}
		end := got[len(got)-1]
		if !slices.Equal(end.Env, []string{"SERIAL=99"}) || last.Before(asked.Add(-100*time.Millisecond)) {
			t.Errorf("the last notice is %v", end.Env)
		}
		events := 0
		for _, n := range got {
			events += strings.Count(string(n.Event), "\n")
			if len(n.Event) > 0 && n.Event[len(n.Event)-1] != '\n' {
				events++
			}
		}
		if events != 100 {
			t.Errorf("%d events, want each of the 100 once", events)
		}
		t.Logf("100 rotations in a second, target notified %d times", len(got))
	})
}

func TestHookRetriesWithBackoffThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		target := &fakeTarget{again: 3, tell: func(context.Context, Notice) error {
			at = append(at, time.Since(began))
			return errors.New("no")
		}}
		log := new(hookLog)
		h := newHook(Spec{Name: "no"}, target, log.logger())
		runHook(t, h)
		h.Rotated(Notice{})
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(at) != 4 {
			t.Fatalf("%d tries, want 1 and 3 retries: %v", len(at), at)
		}
		for i := 1; i < len(at); i++ {
			want := 500 * time.Millisecond << (i - 1)
			if wait := at[i] - at[i-1]; wait < want*8/10 || wait > want*12/10 {
				t.Errorf("wait %d was %v, want about %v", i, wait, want)
			}
		}
		if s := h.Status(); s.Delivered != 0 || s.Asked != 1 || s.Failures != 4 || s.LastError == nil {
			t.Errorf("status %+v", s)
		}
		if log.count("level=ERROR") != 1 {
			t.Errorf("the end of it is not in the log: %q", log.lines)
		}

		// the next rotation is a new chance, and carries what was missed
		target.tell = func(_ context.Context, n Notice) error {
			if want := "A=1\nB=2"; strings.Join(n.Env, "\n") != want {
				t.Errorf("env %q, want %q", n.Env, want)
			}
			return nil
		}
		h.Rotated(Notice{Env: []string{"A=1"}})
		h.Rotated(Notice{Env: []string{"B=2"}})
		synctest.Wait()
		if s := h.Status(); s.Delivered != 3 || s.LastError != nil {
			t.Errorf("status %+v, want recovered", s)
		}
	})
}

// Retries that were given up left the next rotation with their long backoff.
func TestHookThatWasGivenUpStartsAnewWithTheNextRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		target := &fakeTarget{again: 4, tell: func(context.Context, Notice) error {
			at = append(at, time.Now())
			return errors.New("no")
		}}
		h := newHook(Spec{}, target, slog.New(slog.DiscardHandler))
		runHook(t, h)
		for range 2 {
			at, target.attempts = nil, nil
			h.Rotated(Notice{})
			time.Sleep(time.Hour)
			synctest.Wait()
			if len(at) != 5 || at[1].Sub(at[0]) > 600*time.Millisecond {
				t.Errorf("attempts at %v, want five, the second after half a second", at)
			}
			if want := []bool{false, true, true, true, true}; !slices.Equal(target.attempts, want) {
				t.Errorf("one more of the same: %v, want %v", target.attempts, want)
			}
		}
	})
}

func TestHookMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		target := &fakeTarget{tell: func(context.Context, Notice) error {
			at = append(at, time.Since(began))
			return nil
		}}
		h := newHook(Spec{MinInterval: time.Minute}, target, slog.New(slog.DiscardHandler))
		runHook(t, h)
		for range 150 {
			h.Rotated(Notice{})
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute}; !slices.Equal(at, want) {
			t.Errorf("told at %v, want %v", at, want)
		}
		if s := h.Status(); s.Delivered != 150 {
			t.Errorf("status %+v", s)
		}
	})
}

// A rotation that arrives while a target fails must not turn the backoff into a
// busy loop.
func TestHookRotationsDoNotCutTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		target := &fakeTarget{again: 100, tell: func(context.Context, Notice) error {
			tries++
			return errors.New("no")
		}}
		h := newHook(Spec{}, target, slog.New(slog.DiscardHandler))
		runHook(t, h)
		for range 1000 {
			h.Rotated(Notice{})
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if tries > 10 {
			t.Errorf("%d tries in 10 s of failing", tries)
		}
	})
}

func TestHookSplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		var began time.Time
		target := &fakeTarget{tell: func(context.Context, Notice) error {
			at = append(at, time.Since(began))
			return nil
		}}
		h := newHook(Spec{Name: "x", Splay: time.Hour}, target, slog.New(slog.DiscardHandler))
		stop := runHook(t, h)
		began = time.Now()
		h.Rotated(Notice{First: true})
		synctest.Wait()
		if len(at) != 1 || at[0] != 0 {
			t.Fatalf("the first notice was splayed: %v", at)
		}
		for range 2 {
			began = time.Now()
			h.Rotated(Notice{})
			time.Sleep(time.Hour)
			synctest.Wait()
		}
		if len(at) != 3 || at[1] != at[2] || at[1] != splay.Delay(splay.Identity("x"), time.Hour) {
			t.Errorf("delays %v, want twice the same", at[1:])
		}
		h.Rotated(Notice{})
		synctest.Wait()
		if d := stop(); d != 0 {
			t.Errorf("a stop during splay took %v", d)
		}
	})
}

func TestNoticeMerge(t *testing.T) {
	a := Notice{
		Env:   []string{"SERIAL=1", "OLD=1"},
		Lists: []List{{"KINDS", []string{"x509"}}},
		Event: []byte(`{"a":1}`),
		First: true,
	}
	b := Notice{
		Env:   []string{"SERIAL=2"},
		Lists: []List{{"KINDS", []string{"jwt", "x509"}}, {"FILES", []string{"/a", "/b"}}},
		Event: []byte("{\"b\":1}\n"),
	}
	m := a.merge(b)
	want := []string{"SERIAL=2", "OLD=1", "KINDS=x509,jwt", "FILES=/a,/b"}
	if got := m.environ(); !slices.Equal(got, want) {
		t.Errorf("environ %q, want %q", got, want)
	}
	if got, want := string(m.Event), "{\"a\":1}\n{\"b\":1}\n"; got != want || !m.First {
		t.Errorf("event %q, first %v", got, m.First)
	}
	if a.Env[0] != "SERIAL=1" || len(a.Lists[0].Values) != 1 {
		t.Error("merge wrote to what it was given")
	}
	for range 1800 {
		m = m.merge(Notice{Event: []byte(`{"some":"event of a few dozen bytes"}`)})
	}
	if len(m.Event) > maxEvents || m.Event[0] != '{' {
		t.Errorf("%d bytes of events wait, beginning with %q", len(m.Event), m.Event[:20])
	}
}

func TestNewHookRefuses(t *testing.T) {
	for name, spec := range map[string]Spec{
		"nothing":           {},
		"two":               {Command: []string{"x"}, PIDFile: "x"},
		"empty name":        {Command: []string{""}},
		"negative timeout":  {Command: []string{"x"}, Timeout: -1},
		"negative retries":  {Command: []string{"x"}, Retries: -1},
		"negative splay":    {Command: []string{"x"}, Splay: -1},
		"negative interval": {Command: []string{"x"}, MinInterval: -1},
		"no such owner":     {ProcessName: "x", Owner: "nobody at all"},
		"owner of a file":   {PIDFile: "x", Owner: "root"},
		"signal to command": {Command: []string{"x"}, Signal: 1},
		"no such signal":    {PIDFile: "x", Signal: 65},
	} {
		if _, err := New(spec, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What Heard withdraws is no failure, before, while and after it is told again, and is
// not tried once more; a rotation that the target has not been told of stays one.
func TestHookHeard(t *testing.T) {
	for _, when := range []string{"before", "while", "after"} {
		synctest.Test(t, func(t *testing.T) {
			var fails atomic.Bool
			target := &fakeTarget{tell: func(context.Context, Notice) error {
				time.Sleep(time.Second)
				if fails.Load() {
					return errors.New("no such unit")
				}
				return nil
			}, again: -1}
			h := newHook(Spec{Name: "x", MinInterval: time.Minute}, target, slog.New(slog.DiscardHandler))
			runHook(t, h)
			h.Rotated(Notice{First: true})
			time.Sleep(2 * time.Minute)
			h.Again()
			time.Sleep(10 * time.Second)
			if s := h.Status(); s.Runs != 2 || s.LastError != nil {
				t.Errorf("%+v", s)
			}
			fails.Store(true)
			h.Again()
			time.Sleep(map[string]time.Duration{"before": time.Second, "while": 51500 * time.Millisecond, "after": time.Hour}[when])
			synctest.Wait()
			if trouble := h.Status().LastError; (trouble != nil) != (when == "after") {
				t.Errorf("%s: %v", when, trouble)
			}
			h.Heard()
			before := h.Status().Runs
			time.Sleep(time.Hour)
			if s := h.Status(); s.LastError != nil || s.Runs > before+1 {
				t.Errorf("%s: %d runs, then %+v", when, before, s)
			}
			h.Rotated(Notice{})
			time.Sleep(time.Hour)
			h.Heard()
			if s := h.Status(); s.LastError == nil || s.Asked == s.Delivered {
				t.Errorf("%s: a rotation that it has not heard of: %+v", when, s)
			}
			fails.Store(false)
			time.Sleep(time.Hour)
			if s := h.Status(); s.LastError != nil || s.Asked != s.Delivered {
				t.Errorf("%s: %+v", when, s)
			}
		})
	}
}

// What is told again is told at once, and is no rotation; a failure is logged again
// with the next rotation, however long it has been known.
func TestHookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		told, fails := 0, false
		target := &fakeTarget{tell: func(context.Context, Notice) error {
			told++
			if fails {
				return errors.New("no such unit")
			}
			return nil
		}}
		h := newHook(Spec{Name: "x", Splay: time.Hour}, target, slog.New(slog.NewTextHandler(&log, nil)))
		runHook(t, h)
		h.Rotated(Notice{First: true})
		synctest.Wait()
		h.Again()
		synctest.Wait()
		if s := h.Status(); told != 2 || s.Asked != 1 || s.Delivered != 1 || s.Runs != 2 {
			t.Errorf("told %d times, %+v", told, s)
		}
		fails = true
		for range 2 {
			h.Rotated(Notice{})
			time.Sleep(2 * time.Hour)
			synctest.Wait()
		}
		if n := strings.Count(log.String(), "no such unit"); n != 2 {
			t.Errorf("two rotations have failed, and the log says so %d times:\n%s", n, &log)
		}
	})
}
