//go:build unix

package supervisor

import (
	"syscall"
	"testing"
)

// A reload that changes the process stopped the old one long before the new one
// could start, and sent SIGTERM to the new one while the old one was ending.
func TestReplaceExchangesTheProcess(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	old := Spec{
		Command:    shell(`trap 'echo asked >>$1; sleep 0.3; echo old ends >>$1; exit 3' QUIT; echo old >>$1; while :; do sleep 0.02; done`, path),
		StopSignal: syscall.SIGQUIT,
	}
	s := supervise(t, old)
	s.Rotated()
	out.want("old")
	if err := s.Replace(chosen(Spec{Command: shell(`trap 'echo hup >>$1' HUP; echo new >>$1; while :; do sleep 0.02; done`, path)})); err != nil {
		t.Fatal(err)
	}
	out.want("asked")
	out.want("old ends")
	out.want("new")
	st := s.running()
	if st.Starts != 2 || st.LastExit == nil || st.LastExit.Code != 3 {
		t.Errorf("status %+v", st)
	}
	s.Rotated() // as the new Spec says
	out.want("hup")
	s.Stop()
	wantStatus(t, s.result(), 143)
}

func TestSIGTERMWhileTheOldProcessEndsReachesIt(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, Spec{Command: shell(`trap 'echo term >>$1; n=$((n+1)); [ $n = 2 ] && exit 9' TERM; echo old >>$1; while :; do sleep 0.02; done`, path)})
	s.Rotated()
	out.want("old")
	if err := s.Replace(chosen(Spec{Command: shell(`echo new >>$1`, path)})); err != nil {
		t.Fatal(err)
	}
	out.want("term")
	s.Signal(syscall.SIGTERM)
	out.want("term")
	wantStatus(t, s.result(), 9)
	if st := s.Status(); st.Starts != 1 {
		t.Errorf("the new process was started: %+v", st)
	}
}

// What New refuses changes nothing, and what the kernel refuses brings the old
// process back.
func TestReplaceByWhatCannotRun(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, Spec{Command: shell(`echo old >>$1; exec sleep 1000`, path)})
	s.Rotated()
	out.want("old")
	if s.Replace(chosen(Spec{Command: []string{"/nonexistent"}})) == nil || s.Replace(Spec{Command: []string{"sh"}}) == nil {
		t.Error("a Spec that cannot run was accepted")
	}
	notAProgram := t.TempDir() + "/data"
	writeProgram(t, notAProgram, "\x00\x01", 0o755)
	if err := s.Replace(chosen(Spec{Command: []string{notAProgram}})); err != nil {
		t.Fatal(err)
	}
	out.want("old")
	if st := s.await("back", func(st Status) bool { return st.Starts == 2 }); st.Failure == "" {
		t.Errorf("status %+v, want a failure", st)
	}
	s.Stop()
	wantStatus(t, s.result(), 143)
}
