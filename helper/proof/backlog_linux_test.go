package proof

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// A connection that the service never accepts, and that the proof's end cuts
// short, hides no more than one that hangs later.
func TestProofCutShortWhileConnecting(t *testing.T) {
	t.Parallel()
	stillServes(t, func(s *service) {
		s.before = func(net.Conn) error {
			ln := s.ln.(*net.TCPListener)
			ln.SetDeadline(time.Unix(1, 0)) // ends Accept
			fillBacklog(t, ln)
			return nil
		}
	})
}

// fillBacklog has further connections to a listener that accepts none hang.
func fillBacklog(t *testing.T, ln *net.TCPListener) {
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) })
	if err != nil {
		t.Error(err)
	}
	for range 100 {
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 20*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Error("the backlog has no end")
}
