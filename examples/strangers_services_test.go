//go:build linux && services

package examples_test

// refusesStranger asserts that a client without an SVID is not let in.
func (s *service) refusesStranger(open opening, talk talk) {
	s.t.Helper()
	if _, err := talkDial(s.address, withoutCertificate(s.clientTLS()), open, talk)(deadline(s.t, patience)); err == nil {
		s.t.Error("a client without an SVID is let in")
	}
}
