package devapi

import (
	"fmt"
	"net"
)

// Down cuts every connection and removes the socket, as an agent does that
// ends. Rotation goes on.
func (s *Server) Down() {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.stopServing()
}

// Crash is Down as after a SIGKILL: the socket stays, and refuses connections.
func (s *Server) Crash() {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if l, ok := s.listener.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	s.stopServing()
}

// Up serves again where it did before Down or Crash: the same address, a new inode.
func (s *Server) Up() error {
	address := s.Addr()
	if address == "" {
		return fmt.Errorf("development Workload API: up before start")
	}
	return s.Start(address)
}
