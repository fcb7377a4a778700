//go:build !linux && !darwin

package hook

import "errors"

// A Sighting is a process that a hook would signal; here there is none.
type Sighting struct {
	PID    int
	Parent string
	Err    error
}

// Look reports that no process can be signalled here.
func Look(Spec) ([]Sighting, error) {
	return nil, errors.New("signalling a process is not supported on this system; use a command")
}
