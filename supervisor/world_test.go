//go:build unix

package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// FuzzNext plays random lives: the world answers actions as an operating
// system would, or fails to, and things happen to the helper meanwhile.
func FuzzNext(f *testing.F) {
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\x03\x00\x01\x00\x02\x00\x05\x00\x01\x00\x07\x00"))
	for i := range 256 {
		life := make([]byte, 64)
		for j := range life {
			life[j] = byte(i*31 + j*(i|1)*17)
		}
		f.Add(life)
	}
	f.Fuzz(func(t *testing.T, life []byte) {
		if len(life) < 2 {
			return
		}
		w := newWorld(t, life[0], life[1])
		for _, b := range life[2:] {
			w.live(b)
		}
		w.finish()
	})
}

// A world is an operating system with room for one process, and checks on it.
type world struct {
	t     *testing.T
	state state
	now   time.Time

	pending bool // a start is under way
	pid     int  // of the process that is not reaped, or 0
	nextPID int
	n       uint64
	exit    Exit // the last one
	ended   bool // the last event was an exit
}

func newWorld(t *testing.T, policy, more byte) *world {
	spec := Spec{
		Restart:    []RestartPolicy{RestartNever, RestartOnFailure, RestartAlways, RestartOnRotation}[policy&3],
		OnRotation: Rotation{Action: RotationAction(policy>>2&3) % 3, Signal: []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGKILL, syscall.SIGUSR1}[policy>>4&3]},
	}
	if more&1 != 0 {
		spec.StopTimeout = 2 * time.Second
	}
	if more&2 != 0 {
		spec.MaxRestarts, spec.RestartWindow = 3, time.Minute
	}
	if more&4 != 0 {
		spec.SignalRewrite = map[syscall.Signal]syscall.Signal{syscall.SIGTERM: 0, syscall.SIGHUP: syscall.SIGINT}
	}
	w := &world{t: t, now: noon, nextPID: 100, state: state{spec: &spec}}
	if more&8 != 0 {
		w.state.splay = 3 * time.Second
	}
	return w
}

// live lets one thing happen, chosen by b.
func (w *world) live(b byte) {
	if w.state.phase == done {
		return
	}
	how := b >> 4
	switch b & 0xf {
	case 0, 1:
		w.n += uint64(how&3) + 1
		w.happen(event{kind: evRotated, n: w.n})
	case 2, 3:
		w.startEnds(how != 0)
	case 4, 5, 6:
		w.die(how)
	case 7:
		w.happen(event{kind: evSignalled, signal: syscall.Signal(how%15 + 1)})
	case 8:
		w.happen(event{kind: evSignalled, signal: syscall.SIGTERM})
	case 9:
		if how == 0 {
			w.happen(event{kind: evStop})
		}
	case 10:
		w.happen(event{kind: evRestart})
	case 11, 12:
		if at := w.state.deadline(); !at.IsZero() {
			w.now = at
			w.happen(event{kind: evTick})
		}
	case 13:
		w.happen(event{kind: []eventKind{evTick, evAgain, evHeard}[how%3]})
	case 14:
		w.now = w.now.Add(time.Duration(how) * time.Second)
	case 15: // what cannot be, must not matter
		w.happen([]event{
			{kind: evStarted, pid: 1}, {kind: evExited, exit: Exit{Code: 1}},
			{kind: evLooked}, {kind: evTold, n: w.n},
		}[w.impossible(how)])
	}
}

// impossible picks a spurious event that this moment really rules out.
func (w *world) impossible(how byte) int {
	switch {
	case !w.pending && how&1 == 0:
		return 0
	case w.pid == 0 && how&2 == 0:
		return 1
	default:
		return 2
	}
}

func (w *world) startEnds(well bool) {
	if !w.pending {
		return
	}
	w.pending = false
	if !well {
		w.happen(event{kind: evFailed, exit: Exit{Code: 126}, err: &ExitError{Code: 126, Err: errors.New("no")}})
		return
	}
	w.nextPID++
	w.pid = w.nextPID
	w.happen(event{kind: evStarted, pid: w.pid})
}

func (w *world) die(how byte) {
	if w.pid == 0 {
		return
	}
	w.exit = Exit{At: w.now, Code: int(how)}
	if how > 12 {
		w.exit = Exit{At: w.now, Signal: syscall.Signal(how)}
	}
	w.pid = 0
	w.ended = true
	w.happen(event{kind: evExited, exit: w.exit})
	w.ended = false
}

func (w *world) happen(e event) {
	queue := []event{e}
	for i := 0; len(queue) > 0; i++ {
		if i > 10 {
			w.t.Fatal("events make events without end")
		}
		e, queue = queue[0], queue[1:]
		e.at = w.now
		queue = append(queue, w.step(e)...)
	}
	w.check()
}

func (w *world) step(e event) (follow []event) {
	before := w.state
	pending, recent := slices.Clone(before.pending), slices.Clone(before.recent)
	after, acts := next(before, e)
	again, _ := next(before, e)
	if !slices.Equal(pending, before.pending) || !slices.Equal(recent, before.recent) {
		w.t.Fatal("next changed the state that it was given")
	}
	if d := cmp.Diff(after, again, cmp.AllowUnexported(state{}, signals.Watch{}), cmp.Comparer(func(a, b error) bool {
		return fmt.Sprint(a) == fmt.Sprint(b)
	})); d != "" {
		w.t.Fatalf("next is not pure: %s", d)
	}
	w.state = after
	for _, a := range acts {
		if a.kind == actStart {
			if w.pending || w.pid != 0 {
				w.t.Fatal("two processes")
			}
			w.pending = true
			continue
		}
		if a.pid == 0 || a.pid != w.pid {
			w.t.Fatalf("action %q, but the process is %d", inWords([]action{a}), w.pid)
		}
		switch a.kind {
		case actLook:
			follow = append(follow, event{kind: evLooked, handling: signals.Handling(a.pid+int(w.n)) % (signals.Blocked + 1)})
		case actTell:
			follow = append(follow, event{kind: evTold, n: a.n})
		}
	}
	return follow
}

func (w *world) check() {
	s := w.state
	on := s.spec.OnRotation
	switch {
	case s.delivered > s.asked:
		w.t.Fatalf("delivered %d of %d", s.delivered, s.asked)
	case s.pid != w.pid:
		w.t.Fatalf("state says pid %d, it is %d", s.pid, w.pid)
	case s.phase == done && (w.pid != 0 || w.pending):
		w.t.Fatal("done, and a process is left")
	case w.pending != (s.phase == starting):
		w.t.Fatalf("start under way: %v, state %s", w.pending, states[s.phase])
	case s.phase == running && s.asked > s.delivered && s.tellAt.IsZero():
		w.t.Fatal("a rotation is forgotten")
	case s.phase == running && on.Action == RotationNone && s.asked > s.delivered:
		w.t.Fatal("nothing to tell, and not told")
	case s.phase == backoff && s.startAt.IsZero():
		w.t.Fatal("backoff without an end")
	case s.phase == waiting && s.asked > max(s.delivered, s.atStart) && s.startAt.IsZero() && s.failure == "":
		w.t.Fatal("files are there, and nothing starts")
	}
	if w.ended {
		if s.last == nil || *s.last != w.exit {
			w.t.Fatal("an exit is lost")
		}
		if s.phase == done && exitIs(w.exit.Status())(s) != nil {
			w.t.Fatalf("result %v, but the process ended with %d", s.result, w.exit.Status())
		}
	}
}

// finish stops the helper, and the process does as it is told.
func (w *world) finish() {
	w.happen(event{kind: evStop})
	w.startEnds(true)
	if w.pid != 0 && w.state.phase != stopping && w.state.phase != done {
		w.t.Fatalf("stop in state %s with a process does not stop it", states[w.state.phase])
	}
	w.die(0)
	if w.state.phase != done {
		w.t.Fatalf("after the stop and the end: %s", states[w.state.phase])
	}
}
