package check_test

import (
	"slices"
	"testing"

	"github.com/svidhelper/svidhelper/helper/check"
)

// allSamples are generated once: RSA takes long.
func allSamples(t testing.TB) (samples []sample) {
	for _, kind := range keyKinds {
		samples = append(samples, x509Samples(t, kind)...)
	}
	samples = append(samples, jwtSamples(t)...)
	samples = append(samples, witSamples(t)...)
	return append(samples, bundleSamples(t)...)
}

// look checks a sample as every test here does.
func look(set check.Set) *check.Report {
	return check.Check([]check.Set{set}, check.Options{Now: now, MinRemaining: minRemaining, Audience: "vault"})
}

// TestEveryRule: 300 generated files, good and bad in every way that the standards
// forbid. Nothing is said against the good ones, and each bad one is refused with
// the section that it breaks.
func TestEveryRule(t *testing.T) {
	samples := allSamples(t)
	bad := 0
	for _, s := range samples {
		r := look(s.set)
		if s.section == "" {
			if !r.Usable || worst(r) != check.OK {
				t.Errorf("%s: something is said against it: %v", s.name, findings(r))
			}
			continue
		}
		bad++
		if r.Usable || !slices.ContainsFunc(findings(r), func(f check.Finding) bool { return f.Level == check.Problem && f.Section == s.section }) {
			t.Errorf("%s: want a problem with %s, got %v", s.name, s.section, findings(r))
		}
	}
	t.Logf("%d samples, %d of them bad", len(samples), bad)
	if len(samples) < 300 || bad < 150 {
		t.Errorf("%d samples, %d of them bad: too few", len(samples), bad)
	}
}

// findings are those of all files that are more than ok.
func findings(r *check.Report) (all []check.Finding) {
	for _, i := range r.Files {
		for _, f := range i.Findings {
			if f.Level != check.OK {
				all = append(all, f)
			}
		}
	}
	return all
}

func worst(r *check.Report) check.Level {
	worst := check.OK
	for _, f := range findings(r) {
		if f.Level == check.Problem || worst == check.OK {
			worst = f.Level
		}
	}
	return worst
}

// finding returns the finding of a section in the first file.
func finding(r *check.Report, section string) (found check.Finding, ok bool) {
	for _, f := range r.Files[0].Findings {
		if f.Section == section {
			return f, true
		}
	}
	return check.Finding{}, false
}
