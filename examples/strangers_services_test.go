//go:build linux && services

package examples_test

import (
	"os"
	"testing"
)

// refusesStranger asserts that a client without an SVID is not let in.
func (s *service) refusesStranger(open opening, talk talk) {
	s.t.Helper()
	if _, err := talkDial(s.address, withoutCertificate(s.clientTLS()), open, talk)(deadline(s.t, patience)); err == nil {
		s.t.Error("a client without an SVID is let in")
	}
}

// needRoot skips the test, or fails it where nothing may be skipped, when it does
// not run as root.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
