package check

import (
	"testing"
	"time"
)

// TestKeystorePatience: a keystore that takes without end to open is given up, and
// no other one is begun.
func TestKeystorePatience(t *testing.T) {
	end, c := make(chan error), &checker{}
	defer close(end)
	if _, err := inTime(c, keystorePatience, func() (int, error) { return 1, nil }); err != nil || c.impatient {
		t.Error(err)
	}
	if _, err := inTime(c, time.Nanosecond, func() (int, error) { return 1, <-end }); err == nil || !c.impatient {
		t.Error("it was opened")
	}
}
