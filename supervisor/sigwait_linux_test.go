package supervisor

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// TestSigwait: a program that takes signals by sigwait in a thread beside its first one
// is told. Of one that does so in its first thread the kernel shows what it shows of a
// program that the signal would end: not blocked, no handler, and the signal blocked in
// the other threads.
func TestSigwait(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "sigwait")
	testbed.Run(t, "cc", "-o", program, "testdata/sigwait.c", "-lpthread")

	path, out := pipe(t)
	s := supervise(t, Spec{Command: []string{program, path, "other"}})
	s.Rotated()
	out.want("up")
	s.Rotated()
	out.want("HUP")
	if st := s.upToDate(); st.Starts != 1 || st.Failure != "" {
		t.Errorf("status %+v", st)
	}

	path, out = pipe(t)
	s = supervise(t, Spec{Command: []string{program, path, "first"}})
	s.Rotated()
	out.want("up")
	shown := signals.Open(s.running().PID)
	defer shown.Close()
	for end := time.Now().Add(patience); shown.Handling(syscall.SIGHUP) != signals.Default; {
		if time.Now().After(end) {
			t.Fatalf("handling %d: sigwait can be told from the default now, so tell such a program", shown.Handling(syscall.SIGHUP))
		}
	}
}
