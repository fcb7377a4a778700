package testbed

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Program returns the path of a program that consumes what is published. Without it
// the test is skipped, or fails where nothing may be.
func Program(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		if p = "/usr/sbin/" + name; exec.Command(p, "-v").Run() == nil {
			return p
		}
		if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return p
}

// Run runs a program and returns what it says. That it fails is the test's failure.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
