package supervisor

import (
	"testing"
	"time"
)

// TestCrashesAreCounted: in all, and in a row until the process has run for half a
// minute. A restart that was asked for is none.
func TestCrashesAreCounted(t *testing.T) {
	at := time.Unix(1000, 0)
	s := state{spec: &Spec{Restart: RestartAlways, OnRotation: Rotation{Action: RotationRestart}}}
	do := func(e event) {
		e.at = at
		s, _ = next(s, e)
	}
	run := func(d time.Duration, code int) {
		t.Helper()
		if s.phase == backoff {
			at = s.startAt
			do(event{kind: evTick})
		}
		do(event{kind: evStarted, pid: 7})
		at = at.Add(d)
		do(event{kind: evExited, exit: Exit{At: at, Code: code}})
	}
	want := func(crashes uint64, inARow int) {
		t.Helper()
		if st := s.status(); st.Crashes != crashes || st.InARow != inARow {
			t.Errorf("%d crashes, %d in a row; want %d and %d", st.Crashes, st.InARow, crashes, inARow)
		}
	}
	do(event{kind: evRotated, n: 1})
	run(time.Second, 3)
	run(time.Second, 0)
	want(2, 2)
	run(backoffReset, 3)
	want(3, 1)

	at = s.startAt
	do(event{kind: evTick})
	do(event{kind: evStarted, pid: 8})
	at = at.Add(backoffReset)
	do(event{kind: evRestart})
	do(event{kind: evExited, exit: Exit{At: at}})
	want(3, 0)
}
