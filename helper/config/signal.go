package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// ParseSignal returns the signal of that name on this operating system: "HUP",
// "SIGHUP" or a number, in any case of letters.
func ParseSignal(name string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > lastSignal {
			return 0, fmt.Errorf("there is no signal %d, only 1 to %d", n, lastSignal)
		}
		return syscall.Signal(n), nil
	}
	full := strings.ToUpper(name)
	if !strings.HasPrefix(full, "SIG") {
		full = "SIG" + full
	}
	if sig := signalNumber(full); sig != 0 {
		return sig, nil
	}
	if name == "" {
		return 0, errors.New("names no signal")
	}
	return 0, fmt.Errorf("there is no signal %q", name)
}

// signalHint returns a suggestion for a name that ParseSignal refuses.
func signalHint(name string) string {
	full := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	var names []string
	for n := syscall.Signal(1); n < 32; n++ {
		if s := signalName(n); s != "" {
			names = append(names, s)
		}
	}
	return didYouMean(Nearest(full, names), `write "SIGHUP", "HUP" or 1`)
}

// printSignal returns the signal in the form that ParseSignal reads.
func printSignal(sig syscall.Signal) string {
	if name := signalName(sig); name != "" {
		return name
	}
	return strconv.Itoa(int(sig))
}

func signal(dst *syscall.Signal) value {
	return scalar{
		func(d *decoder, n *node) {
			if sig, ok := d.signal(n); ok {
				*dst = sig
			}
		},
		func() string {
			if *dst == 0 {
				return ""
			}
			return quote(printSignal(*dst))
		},
	}
}

func (d *decoder) signal(n *node) (syscall.Signal, bool) {
	s, ok := d.str(n)
	if !ok {
		return 0, false
	}
	sig, err := ParseSignal(s)
	if err != nil {
		d.complain(n, signalHint(s), "%v", err)
	}
	return sig, err == nil
}
