package systemd

import (
	"strings"

	"github.com/svidhelper/svidhelper/helper/printable"
)

// Bounds of what a process says.
const (
	maxMessage = 4 << 10 // in bytes; systemd takes no more either
	maxLines   = 64
	maxText    = 200 // of a status, in bytes
	maxStatus  = 1 << 10
)

// A message is what a process says of itself, as far as it is passed on.
type message struct {
	ready     bool
	reloading string // since when, in microseconds; empty: it is not
	extend    string // for how long, in microseconds; empty: it does not ask
	text      string
}

// parseMessage reads a message of sd_notify(3). What is not passed on is left out:
// MAINPID would make the process the unit's main one in the helper's place, and
// STOPPING says the helper when it knows that nothing follows.
func parseMessage(b []byte) (m message) {
	reloading, since := false, ""
	lines := strings.SplitN(string(b), "\n", maxLines+1)
	for _, line := range lines[:min(len(lines), maxLines)] {
		switch key, value, _ := strings.Cut(line, "="); key {
		case "READY":
			m.ready = value == "1"
		case "RELOADING":
			reloading = value == "1"
		case "MONOTONIC_USEC":
			since = number(value)
		case "EXTEND_TIMEOUT_USEC":
			m.extend = number(value)
		case "STATUS":
			m.text = printable.Line(value, maxText)
		}
	}
	if reloading && since != "" {
		m.reloading = since
	}
	return m
}

// number returns a decimal number of microseconds as it stands, and nothing else.
func number(s string) string {
	if len(s) > 19 || strings.Trim(s, "0123456789") != "" {
		return ""
	}
	return s
}

// heard is what the process has said so far.
type heard struct {
	ready bool
	text  string
}

func (h *heard) note(m message) {
	h.ready = h.ready || m.ready
	if m.text != "" {
		h.text = m.text
	}
}
