//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// noon is when every state of the table began, and an hour before its event.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// in returns a state in phase p as a life would have left it: two rotations
// asked for, an hour in.
func in(p phase, spec Spec) state {
	spec = chosen(spec)
	s := state{spec: &spec, phase: p, asked: 2, delivered: 2, atStart: 2, starts: 1, startedAt: noon}
	switch p {
	case running, stopping:
		s.pid = 7
	case backoff:
		s.startAt = noon.Add(2 * time.Hour)
	}
	return s
}

// inWords puts actions in words.
func inWords(acts []action) string {
	var words []string
	for _, a := range acts {
		switch a.kind {
		case actStart:
			words = append(words, "start")
		case actSend:
			words = append(words, fmt.Sprintf("send %s to %d", signals.Name(a.signal), a.pid))
		case actKill:
			words = append(words, fmt.Sprintf("kill %d", a.pid))
		case actLook:
			words = append(words, fmt.Sprintf("look for %s in %d", signals.Name(a.signal), a.pid))
		case actTell:
			words = append(words, fmt.Sprintf("tell %d with %s up to %d", a.pid, signals.Name(a.signal), a.n))
		}
	}
	return strings.Join(words, ", ")
}

type nextCase struct {
	name    string
	from    state
	event   event
	phase   phase
	actions string
	check   func(state) error
}

func with(s state, change func(*state)) state {
	change(&s)
	return s
}

func exitIs(code int) func(state) error {
	return func(s state) error {
		var exit *ExitError
		if code == 0 && s.result == nil || errors.As(s.result, &exit) && exit.Code == code {
			return nil
		}
		return fmt.Errorf("result %v, want status %d", s.result, code)
	}
}

func deliveredIs(n uint64) func(state) error {
	return func(s state) error {
		if s.delivered != n {
			return fmt.Errorf("delivered %d, want %d", s.delivered, n)
		}
		return nil
	}
}

func wakesAfter(d time.Duration) func(state) error {
	return func(s state) error {
		if got := s.deadline().Sub(noon.Add(time.Hour)); s.deadline().IsZero() || got != d {
			return fmt.Errorf("wakes after %v, want %v", got, d)
		}
		return nil
	}
}

func fails(part string) func(state) error {
	return func(s state) error {
		if !strings.Contains(s.failure, part) {
			return fmt.Errorf("failure %q, want %q in it", s.failure, part)
		}
		return nil
	}
}

func nextCases() []nextCase {
	var (
		never   = Spec{}
		always  = Spec{Restart: RestartAlways}
		onFail  = Spec{Restart: RestartOnFailure}
		onRot   = Spec{Restart: RestartOnRotation}
		restart = Spec{OnRotation: Rotation{Action: RotationRestart}}
		none    = Spec{OnRotation: Rotation{Action: RotationNone}}
		timeout = Spec{StopTimeout: 2 * time.Second}
		quit    = Spec{StopSignal: syscall.SIGQUIT}
		rewrite = Spec{SignalRewrite: map[syscall.Signal]syscall.Signal{
			syscall.SIGTERM: syscall.SIGINT, syscall.SIGUSR1: syscall.SIGUSR2, syscall.SIGUSR2: 0}}
		giveUp = Spec{Restart: RestartAlways, MaxRestarts: 2, RestartWindow: 3 * time.Hour}
	)
	fresh := func(spec Spec) state { // nothing published yet
		return with(in(waiting, spec), func(s *state) { s.starts, s.asked, s.delivered, s.atStart = 0, 0, 0, 0 })
	}
	behind := func(s state) state { s.delivered = 1; return s }
	stopped := func(s state) state { s.stop = true; return s }
	young := func(s state) state { s.startedAt = noon.Add(time.Hour - 80*time.Millisecond); return s }

	rotated := event{kind: evRotated, n: 3}
	started := event{kind: evStarted, pid: 9}
	failed := event{kind: evFailed, exit: Exit{Code: 127}, err: &ExitError{Code: 127, Err: errors.New("not found")}}
	exited := func(code int) event { return event{kind: evExited, exit: Exit{Code: code}} }
	killed := event{kind: evExited, exit: Exit{Signal: syscall.SIGTERM}}
	sig := func(n syscall.Signal) event { return event{kind: evSignalled, signal: n} }
	looked := func(h signals.Handling) event { return event{kind: evLooked, handling: h} }
	told := event{kind: evTold, n: 2}
	untold := event{kind: evTold, n: 2, err: syscall.EPERM}
	stop, again, tick, repeat, heard := event{kind: evStop}, event{kind: evRestart}, event{kind: evTick}, event{kind: evAgain}, event{kind: evHeard}
	stuck := func(s state) state {
		s.again, s.failure, s.untold, s.tellAt = true, "x", 3, noon.Add(2*time.Hour)
		return s
	}

	return []nextCase{
		{"the first publish starts", fresh(never), event{kind: evRotated, n: 1}, starting, "start", nil},
		{"a rotation starts what has ended", in(waiting, onRot), rotated, starting, "start", nil},
		{"but not before its splay", with(in(waiting, onRot), func(s *state) { s.splay = time.Second }), rotated, waiting, "", wakesAfter(time.Second)},
		{"the first start has no splay", with(fresh(never), func(s *state) { s.splay = time.Second }), event{kind: evRotated, n: 1}, starting, "start", nil},
		{"nothing new starts nothing", in(waiting, onRot), event{kind: evRotated, n: 2}, waiting, "", nil},
		{"a start without a wish is no start", in(waiting, onRot), started, waiting, "", nil},
		{"a failure without a start", in(waiting, onRot), failed, waiting, "", nil},
		{"an end without a process", in(waiting, onRot), exited(1), waiting, "", nil},
		{"SIGTERM before the first publish", fresh(never), sig(syscall.SIGTERM), done, "", exitIs(0)},
		{"SIGINT before the first publish", fresh(never), sig(syscall.SIGINT), done, "", exitIs(0)},
		{"SIGQUIT with no process", in(waiting, onRot), sig(syscall.SIGQUIT), done, "", exitIs(0)},
		{"SIGHUP with no process", in(waiting, onRot), sig(syscall.SIGHUP), waiting, "", nil},
		{"stop before the first publish", fresh(never), stop, done, "", exitIs(0)},
		{"stop in splay", with(in(waiting, onRot), func(s *state) { s.startAt = noon.Add(2 * time.Hour) }), stop, done, "", exitIs(0)},
		{"restart of nothing yet", fresh(never), again, waiting, "", nil},
		{"restart of what has ended", in(waiting, onRot), again, starting, "start", nil},
		{"tell nothing again", fresh(never), repeat, waiting, "", nil},
		{"tell again what has ended", in(waiting, onRot), repeat, starting, "start", deliveredIs(2)},
		{"heard with no process", in(waiting, onRot), heard, waiting, "", nil},
		{"look with no process", in(waiting, onRot), looked(signals.Caught), waiting, "", nil},
		{"told with no process", in(waiting, onRot), told, waiting, "", nil},
		{"time after the splay", with(in(waiting, onRot), func(s *state) { s.startAt = noon }), tick, starting, "start", nil},
		{"time means nothing", in(waiting, onRot), tick, waiting, "", nil},

		{"a rotation during the start", in(starting, never), rotated, starting, "", nil},
		{"running", in(starting, never), started, running, "", deliveredIs(2)},
		{"running, and it may have read the old files", with(in(starting, never), func(s *state) { s.asked = 3 }), started, running, "look for SIGHUP in 9", deliveredIs(2)},
		{"the same with restarts", with(in(starting, restart), func(s *state) { s.asked = 3 }), started, stopping, "send SIGTERM to 9", nil},
		{"running, to be stopped at once", with(in(starting, never), func(s *state) { s.stop, s.pending = true, []syscall.Signal{syscall.SIGTERM} }), started, stopping, "send SIGTERM to 9", nil},
		{"signals received during the start", with(in(starting, never), func(s *state) { s.pending = []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2} }), started, running, "send SIGUSR1 to 9, send SIGUSR2 to 9", nil},
		{"the first start fails", with(in(starting, always), func(s *state) { s.starts = 0 }), failed, done, "", exitIs(127)},
		{"the first start fails, on-rotation", with(in(starting, onRot), func(s *state) { s.starts = 0 }), failed, waiting, "", fails("not found")},
		{"a restart fails", in(starting, always), failed, backoff, "", wakesAfter(500 * time.Millisecond)},
		{"a restart fails, never", in(starting, never), failed, done, "", exitIs(127)},
		{"a start at a rotation fails", in(starting, onRot), failed, waiting, "", fails("not found")},
		{"a start that is to be stopped fails", stopped(in(starting, always)), failed, done, "", exitIs(0)},
		{"an end without a pid", in(starting, never), exited(1), starting, "", nil},
		{"SIGTERM during the start", in(starting, always), sig(syscall.SIGTERM), starting, "", nil},
		{"a dropped signal during the start", in(starting, rewrite), sig(syscall.SIGUSR2), starting, "", nil},
		{"stop during the start", in(starting, always), stop, starting, "", nil},
		{"restart during the start", in(starting, always), again, starting, "", nil},
		{"tell again during the start", in(starting, always), repeat, starting, "", nil},
		{"heard during the start", in(starting, always), heard, starting, "", nil},
		{"look during the start", in(starting, always), looked(signals.Caught), starting, "", nil},
		{"told during the start", in(starting, always), told, starting, "", nil},
		{"time during the start", in(starting, always), tick, starting, "", nil},

		{"a rotation", in(running, never), rotated, running, "look for SIGHUP in 7", nil},
		{"the same rotation", in(running, never), event{kind: evRotated, n: 2}, running, "", nil},
		{"a rotation with splay", with(in(running, never), func(s *state) { s.splay = time.Minute }), rotated, running, "", wakesAfter(time.Minute)},
		{"a rotation while another one waits", with(in(running, never), func(s *state) { s.tellAt = noon.Add(time.Hour + time.Second) }), rotated, running, "", wakesAfter(time.Second)},
		{"a rotation after one that failed", with(behind(in(running, never)), func(s *state) { s.failure, s.tellAt = "x", noon.Add(2*time.Hour) }), rotated, running, "look for SIGHUP in 7", nil},
		{"a rotation restarts", in(running, restart), rotated, stopping, "send SIGTERM to 7", nil},
		{"a rotation restarts after its splay", with(in(running, restart), func(s *state) { s.splay = time.Minute }), rotated, running, "", wakesAfter(time.Minute)},
		{"a rotation that means nothing", in(running, none), rotated, running, "", deliveredIs(3)},
		{"SIGKILL needs no handler", in(running, Spec{OnRotation: Rotation{Signal: syscall.SIGKILL}}), rotated, running, "tell 7 with SIGKILL up to 3", nil},
		{"a second start", in(running, never), started, running, "", nil},
		{"a failure of no start", in(running, never), failed, running, "", nil},
		{"exit 0, never", in(running, never), exited(0), done, "", exitIs(0)},
		{"exit 3, never", in(running, never), exited(3), done, "", exitIs(3)},
		{"death, never", in(running, never), killed, done, "", exitIs(143)},
		{"exit 0, on-failure", in(running, onFail), exited(0), done, "", exitIs(0)},
		{"exit 3, on-failure", in(running, onFail), exited(3), backoff, "", wakesAfter(500 * time.Millisecond)},
		{"death, on-failure", in(running, onFail), killed, backoff, "", nil},
		{"exit 0, always", in(running, always), exited(0), backoff, "", wakesAfter(500 * time.Millisecond)},
		{"exit 0, on-rotation", in(running, onRot), exited(0), waiting, "", nil},
		{"exit after it heard of a rotation", with(in(running, onRot), func(s *state) { s.asked, s.delivered = 3, 3 }), exited(0), waiting, "", nil},
		{"a start at a rotation fails, and there is another rotation", with(in(starting, onRot), func(s *state) { s.asked = 3 }), failed, starting, "start", nil},
		{"exit before it heard of a rotation", with(in(running, onRot), func(s *state) { s.asked = 3 }), exited(0), starting, "start", nil},
		{"third restart in the window", with(in(running, giveUp), func(s *state) { s.recent = []time.Time{noon, noon} }), exited(4), done, "", exitIs(4)},
		{"second restart in the window", with(in(running, giveUp), func(s *state) { s.recent = []time.Time{noon.Add(-4 * time.Hour), noon} }), exited(4), backoff, "", nil},
		{"fifth failure", with(young(in(running, always)), func(s *state) { s.failures = 4 }), exited(1), backoff, "", wakesAfter(8 * time.Second)},
		{"hundredth failure", with(young(in(running, always)), func(s *state) { s.failures = 99 }), exited(1), backoff, "", wakesAfter(30 * time.Second)},
		{"fifth failure, after an hour of running", with(in(running, always), func(s *state) { s.failures = 4 }), exited(1), backoff, "", wakesAfter(500 * time.Millisecond)},
		{"jitter", in(running, always), event{kind: evExited, random: 0.5, exit: Exit{Code: 1}}, backoff, "", wakesAfter(525 * time.Millisecond)},
		{"SIGTERM", in(running, always), sig(syscall.SIGTERM), stopping, "send SIGTERM to 7", nil},
		{"SIGTERM with a stop signal", in(running, quit), sig(syscall.SIGTERM), stopping, "send SIGQUIT to 7", nil},
		{"the stop signal itself", in(running, quit), sig(syscall.SIGQUIT), stopping, "send SIGQUIT to 7", nil},
		{"SIGTERM rewritten", in(running, rewrite), sig(syscall.SIGTERM), stopping, "send SIGINT to 7", nil},
		{"SIGTERM with a timeout", in(running, timeout), sig(syscall.SIGTERM), stopping, "send SIGTERM to 7", wakesAfter(2 * time.Second)},
		{"SIGINT", in(running, always), sig(syscall.SIGINT), stopping, "send SIGINT to 7", nil},
		{"SIGQUIT is not a stop", in(running, always), sig(syscall.SIGQUIT), running, "send SIGQUIT to 7", nil},
		{"SIGUSR1 rewritten", in(running, rewrite), sig(syscall.SIGUSR1), running, "send SIGUSR2 to 7", nil},
		{"SIGUSR2 dropped", in(running, rewrite), sig(syscall.SIGUSR2), running, "", nil},
		{"stop", in(running, always), stop, stopping, "send SIGTERM to 7", nil},
		{"stop with a rewritten SIGTERM", in(running, rewrite), stop, stopping, "send SIGINT to 7", nil},
		{"stop does not wait for a splay", with(behind(in(running, restart)), func(s *state) { s.tellAt = noon.Add(2 * time.Hour) }), stop, stopping, "send SIGTERM to 7", nil},
		{"restart", in(running, never), again, stopping, "send SIGTERM to 7", nil},
		{"restart with a timeout", in(running, timeout), again, stopping, "send SIGTERM to 7", wakesAfter(2 * time.Second)},
		{"tell again", in(running, never), repeat, running, "look for SIGHUP in 7", deliveredIs(2)},
		{"tell again after the splay", with(in(running, never), func(s *state) { s.splay = time.Minute }), repeat, running, "", wakesAfter(time.Minute)},
		{"tell again what is restarted", in(running, restart), repeat, stopping, "send SIGTERM to 7", nil},
		{"a handler, and to be told again", with(in(running, never), func(s *state) { s.again = true }), looked(signals.Caught), running, "tell 7 with SIGHUP up to 2", nil},
		{"told again", with(in(running, never), func(s *state) { s.again = true }), told, running, "", func(s state) error {
			if s.again || s.asked != 2 || s.delivered != 2 {
				return fmt.Errorf("%+v: it is no rotation, and it was told once", s)
			}
			return nil
		}},
		{"heard, and it could not be told again", stuck(in(running, never)), heard, running, "", func(s state) error {
			if s.again || s.failure != "" || s.untold != 0 || !s.deadline().IsZero() {
				return fmt.Errorf("%+v: there is nothing to tell", s)
			}
			return nil
		}},
		{"heard, and there is a rotation of which it was not told", stuck(behind(in(running, never))), heard, running, "", fails("x")},
		{"heard, and it was not told again", with(in(running, never), func(s *state) { s.failure = "x" }), heard, running, "", fails("x")},
		{"a handler", behind(in(running, never)), looked(signals.Caught), running, "tell 7 with SIGHUP up to 2", nil},
		{"a handler, but nothing to tell", in(running, never), looked(signals.Caught), running, "", nil},
		{"no handler, 80 ms in", young(behind(in(running, never))), looked(signals.Default), running, "", wakesAfter(time.Millisecond)},
		{"no handler after an hour", behind(in(running, never)), looked(signals.Default), running, "", fails("no handler for SIGHUP")},
		{"ignored after an hour", behind(in(running, never)), looked(signals.Ignored), running, "", wakesAfter(time.Second)},
		{"no handler for a signal that means the end", behind(in(running, Spec{OnRotation: Rotation{Signal: syscall.SIGTERM}})), looked(signals.Default), running, "tell 7 with SIGTERM up to 2", nil},
		{"unseen after an hour", behind(in(running, never)), looked(signals.Unseen), running, "tell 7 with SIGHUP up to 2", nil},
		{"busy, at first", behind(in(running, never)), looked(signals.Busy), running, "", wakesAfter(time.Millisecond)},
		{"blocked for the first time", behind(in(running, never)), looked(signals.Blocked), running, "", wakesAfter(time.Millisecond)},
		{"no handler, for the third time", with(behind(in(running, never)), func(s *state) { s.untold = 2 }), looked(signals.Default), running, "", wakesAfter(4 * time.Second)},
		{"no handler, for the hundredth time", with(behind(in(running, never)), func(s *state) { s.untold = 99 }), looked(signals.Default), running, "", wakesAfter(30 * time.Second)},
		{"a rotation within the least interval", with(in(running, Spec{MinInterval: time.Minute}), func(s *state) { s.toldAt = noon.Add(time.Hour - 20*time.Second) }), rotated, running, "", wakesAfter(40 * time.Second)},
		{"a rotation after the least interval", with(in(running, Spec{MinInterval: time.Minute}), func(s *state) { s.toldAt = noon }), rotated, running, "look for SIGHUP in 7", nil},
		{"told, and when", behind(in(running, never)), told, running, "", func(s state) error {
			if got := s.status().LastDelivered; !got.Equal(noon.Add(time.Hour)) {
				return fmt.Errorf("last delivered at %v", got)
			}
			return nil
		}},
		{"told", behind(in(running, never)), told, running, "", deliveredIs(2)},
		{"could not be told", behind(in(running, never)), untold, running, "", fails("not permitted")},
		{"time to tell", with(behind(in(running, never)), func(s *state) { s.tellAt = noon }), tick, running, "look for SIGHUP in 7", nil},
		{"time to restart", with(behind(in(running, restart)), func(s *state) { s.tellAt = noon }), tick, stopping, "send SIGTERM to 7", nil},
		{"no time yet", with(behind(in(running, never)), func(s *state) { s.tellAt = noon.Add(2 * time.Hour) }), tick, running, "", nil},

		{"a rotation during a restart", in(stopping, never), rotated, stopping, "", deliveredIs(2)},
		{"a rotation while it drains", stopped(in(stopping, never)), rotated, stopping, "look for SIGHUP in 7", nil},
		{"a rotation while it drains, restart", stopped(in(stopping, restart)), rotated, stopping, "", nil},
		{"a rotation while it drains, SIGTERM", stopped(in(stopping, Spec{OnRotation: Rotation{Signal: syscall.SIGTERM}})), rotated, stopping, "", nil},
		{"a rotation while it drains, none", stopped(in(stopping, none)), rotated, stopping, "", deliveredIs(3)},
		{"a start while it ends", in(stopping, never), started, stopping, "", nil},
		{"a failure while it ends", in(stopping, never), failed, stopping, "", nil},
		{"the end, for good", stopped(in(stopping, always)), killed, done, "", exitIs(143)},
		{"the end, for good, status 0", stopped(in(stopping, always)), exited(0), done, "", exitIs(0)},
		{"the end, for a restart", in(stopping, never), killed, starting, "start", nil},
		{"the end, for a restart, on-rotation", in(stopping, onRot), exited(1), starting, "start", nil},
		{"SIGTERM during a restart ends it", in(stopping, always), sig(syscall.SIGTERM), stopping, "send SIGTERM to 7", func(s state) error {
			if !s.stop {
				return errors.New("it is started again")
			}
			return nil
		}},
		{"a second SIGTERM", stopped(in(stopping, timeout)), sig(syscall.SIGTERM), stopping, "send SIGTERM to 7", nil},
		{"a second SIGTERM gives no more time", with(stopped(in(stopping, timeout)), func(s *state) { s.killAt = noon.Add(time.Hour + time.Second) }), sig(syscall.SIGTERM), stopping, "send SIGTERM to 7", wakesAfter(time.Second)},
		{"SIGHUP while it ends", stopped(in(stopping, never)), sig(syscall.SIGHUP), stopping, "send SIGHUP to 7", nil},
		{"stop during a restart", in(stopping, never), stop, stopping, "", func(s state) error {
			if !s.stop {
				return errors.New("it is started again")
			}
			return nil
		}},
		{"restart while it ends", stopped(in(stopping, never)), again, stopping, "", nil},
		{"tell again while it drains", stopped(in(stopping, never)), repeat, stopping, "look for SIGHUP in 7", nil},
		{"tell again during a restart", in(stopping, never), repeat, stopping, "", nil},
		{"heard, and it does not end for a restart", stuck(in(stopping, never)), heard, stopping, "", fails("x")},
		{"a handler while it drains", stopped(behind(in(stopping, never))), looked(signals.Caught), stopping, "tell 7 with SIGHUP up to 2", nil},
		{"told while it drains", stopped(behind(in(stopping, never))), told, stopping, "", deliveredIs(2)},
		{"it has had its time", with(stopped(in(stopping, timeout)), func(s *state) { s.killAt = noon }), tick, stopping, "kill 7", nil},
		{"it has time", with(stopped(in(stopping, timeout)), func(s *state) { s.killAt = noon.Add(2 * time.Hour) }), tick, stopping, "", nil},

		{"a rotation in backoff", in(backoff, always), rotated, backoff, "", nil},
		{"a start in backoff", in(backoff, always), started, backoff, "", nil},
		{"a failure in backoff", in(backoff, always), failed, backoff, "", nil},
		{"an end in backoff", in(backoff, always), exited(1), backoff, "", nil},
		{"SIGTERM in backoff", in(backoff, always), sig(syscall.SIGTERM), done, "", exitIs(0)},
		{"SIGUSR1 in backoff", in(backoff, always), sig(syscall.SIGUSR1), backoff, "", nil},
		{"stop in backoff", in(backoff, always), stop, done, "", exitIs(0)},
		{"restart in backoff", in(backoff, always), again, backoff, "", nil},
		{"tell again in backoff", in(backoff, always), repeat, backoff, "", nil},
		{"heard in backoff", in(backoff, always), heard, backoff, "", nil},
		{"look in backoff", in(backoff, always), looked(signals.Caught), backoff, "", nil},
		{"told in backoff", in(backoff, always), told, backoff, "", nil},
		{"time after the backoff", with(in(backoff, always), func(s *state) { s.startAt = noon }), tick, starting, "start", nil},
		{"time in backoff", in(backoff, always), tick, backoff, "", nil},

		{"a rotation after the end", in(done, never), rotated, done, "", nil},
		{"a start after the end", in(done, never), started, done, "", nil},
		{"a failure after the end", in(done, never), failed, done, "", nil},
		{"an end after the end", in(done, never), exited(1), done, "", nil},
		{"a signal after the end", in(done, never), sig(syscall.SIGTERM), done, "", nil},
		{"stop after the end", in(done, never), stop, done, "", nil},
		{"restart after the end", in(done, never), again, done, "", nil},
		{"tell again after the end", in(done, never), repeat, done, "", nil},
		{"heard after the end", in(done, never), heard, done, "", nil},
		{"look after the end", in(done, never), looked(signals.Caught), done, "", nil},
		{"told after the end", in(done, never), told, done, "", nil},
		{"time after the end", in(done, never), tick, done, "", nil},
	}
}

func TestNext(t *testing.T) {
	covered := map[[2]uint8]bool{}
	for _, c := range nextCases() {
		covered[[2]uint8{uint8(c.from.phase), uint8(c.event.kind)}] = true
		t.Run(c.name, func(t *testing.T) {
			c.event.at = noon.Add(time.Hour)
			got, acts := next(c.from, c.event)
			if got.phase != c.phase {
				t.Errorf("phase %s, want %s", states[got.phase], states[c.phase])
			}
			if d := inWords(acts); d != c.actions {
				t.Errorf("actions %q, want %q", d, c.actions)
			}
			if c.check != nil {
				if err := c.check(got); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for p := waiting; p <= done; p++ {
		for k := evRotated; k <= evTick; k++ {
			if !covered[[2]uint8{uint8(p), uint8(k)}] {
				t.Errorf("no case for event %d in state %s", k, states[p])
			}
		}
	}
}
