package devapi

import "fmt"

// Down cuts every connection and removes the socket, as an agent does that
// ends. Rotation goes on.
func (s *Server) Down() {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.stopServing()
}

// Up serves again where it did before Down: the same address, a new inode.
func (s *Server) Up() error {
	address := s.Addr()
	if address == "" {
		return fmt.Errorf("development Workload API: up before start")
	}
	return s.Start(address)
}
