package doctor

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/source"
)

// TestProfiles: a slow answer is a warning, and what nothing needs is not missed.
func TestProfiles(t *testing.T) {
	connected := time.Now()
	slow := &source.ProfileStatus{Profile: source.ProfileX509SVID, State: source.StateStreaming, LastSuccess: connected.Add(12 * time.Second)}
	lacking := &source.ProfileStatus{Profile: source.ProfileWITSVID, State: source.StateUnsupported, LastError: errors.New("unknown")}
	st := &source.Status{
		Connection: source.Connection{Address: "unix:///api.sock", Connected: true, Since: connected},
		Profiles:   []*source.ProfileStatus{slow, lacking},
	}
	var r Report
	r.profiles(st, source.Needs{X509: true})
	if len(r.Findings) != 1 || r.Findings[0].Level != Warning {
		t.Fatalf("%+v", r.Findings)
	}
	for _, words := range []string{"x509_svid after 12s", "not needed here: wit_svid", "The slowest took 12s"} {
		if r.find(Warning, checkWorkloadAPI, words) == nil {
			t.Errorf("%q is not in %q", words, r.Findings[0].Text)
		}
	}
	r = Report{}
	r.profiles(st, source.Needs{WIT: true}) // the slow one is not waited for
	if r.find(Problem, "wit_svid", "remove what needs it, or use another agent") == nil || r.find(OK, checkWorkloadAPI, "x509_svid after 12s") == nil {
		t.Errorf("%+v", r.Findings)
	}
	partly := *slow
	partly.State, partly.Reason, partly.LastError = source.StateRejected, source.ReasonExpired, errors.New("one has expired")
	r = Report{}
	r.profiles(&source.Status{Connection: st.Connection, Profiles: []*source.ProfileStatus{&partly}}, source.Needs{X509: true})
	if r.find(Warning, "x509_svid", "one has expired; the clock here says") == nil {
		t.Errorf("%+v", r.Findings)
	}
}

// find returns the first finding that is of a level and a check, and has the words.
func (r *Report) find(l Level, check, words string) *Finding {
	for i, f := range r.Findings {
		if f.Level == l && f.Check == check && strings.Contains(f.Subject+": "+f.Text, words) {
			return &r.Findings[i]
		}
	}
	return nil
}
