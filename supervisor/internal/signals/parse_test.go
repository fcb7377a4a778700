package signals

import (
	"runtime"
	"testing"
)

func TestParse(t *testing.T) {
	for _, name := range []string{"HUP", "SIGHUP", "hup", "SigHup", "1"} {
		if sig, err := Parse(name); err != nil || sig != 1 {
			t.Errorf("Parse(%q) = %v, %v", name, sig, err)
		}
	}
	for _, name := range []string{"", "SIG", "SIGSIGHUP", "0", "-1", "65", "99999999999999999999", " HUP", "SIGHUP ", "1.0", "0x1", "SIGRTMIN+31"} {
		if sig, err := Parse(name); err == nil {
			t.Errorf("Parse(%q) = %v", name, sig)
		}
	}
	if runtime.GOOS == "linux" {
		if sig, err := Parse("RTMIN+3"); err != nil || sig != 37 {
			t.Errorf("RTMIN+3 is %v, %v", sig, err)
		}
	}
	for sig := Last; sig > 0; sig-- {
		if got, err := Parse(Name(sig)); err != nil || got != sig {
			t.Errorf("%q, the name of %d, is read as %d, %v", Name(sig), sig, got, err)
		}
	}
}
