package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// slowAnswer is from when on an answer is late enough to be felt: every start of a
// container waits as long.
const slowAnswer = 5 * time.Second

// maxIdentities bounds the identities that are told one by one.
const maxIdentities = 20

// workloadAPI asks the Workload API for everything that it may have, says what it
// answers, and returns that; nil: nothing.
func (r *Report) workloadAPI(ctx context.Context, c *config.Config, timeout time.Duration) *snapshot.Snapshot {
	needs := helper.Needs(c)
	if len(c.Outputs) == 0 {
		needs.X509 = true
	}
	st, err := ask(ctx, c.AgentAddress, needs.JWTSVIDs, timeout)
	switch {
	case err != nil:
		r.add(Problem, checkWorkloadAPI, "", "%v", err)
		return nil
	case !st.Connection.Connected:
		r.add(Problem, checkWorkloadAPI, "", "%s", strings.TrimPrefix(st.Problem(), "Workload API "))
		return nil
	}
	r.profiles(st, needs)
	r.identities(st.Snapshot)
	r.clock(st)
	return st.Snapshot
}

// ask asks for every profile, and for some tokens, until each has been answered in
// one way or another, or there is no connection, or the time is up.
func ask(ctx context.Context, address string, tokens []snapshot.JWTRequest, timeout time.Duration) (*source.Status, error) {
	src, err := source.New(source.Config{Address: address, Needs: source.Needs{
		X509: true, X509Bundles: true, JWTBundles: true, WIT: true, WITBundles: true, JWTSVIDs: tokens,
	}}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	src.MustNotFail() // an agent need not have all of them
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = src.Run(ctx) }()
	defer func() { stop(); <-ended }()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		st := src.Status()
		if settled(st) {
			return st, nil
		}
		select {
		case <-src.Updates():
		case <-late.C:
			return src.Status(), nil
		case <-ctx.Done():
			return nil, errors.New("stopped before it had answered")
		}
	}
}

// settled reports whether there is nothing more to wait for.
func settled(st *source.Status) bool {
	if !st.Connection.Connected {
		return st.Connection.LastError != nil
	}
	for _, p := range st.Profiles {
		if p.LastSuccess.IsZero() && p.LastError == nil {
			return false
		}
	}
	return true
}

// profiles says which profiles are answered, and how fast.
func (r *Report) profiles(st *source.Status, needs source.Needs) {
	var offered, lacking []string
	slowest := time.Duration(0)
	for _, p := range st.Profiles {
		needed := isNeeded(p.Profile, needs)
		took := p.LastSuccess.Sub(st.Connection.Since)
		switch {
		case p.LastSuccess.IsZero() && !needed:
			lacking = append(lacking, p.Name())
			continue
		case p.LastSuccess.IsZero():
			r.add(Problem, string(p.Profile), subjectOf(p), "%s%s", p.Problem(), advice(p))
			continue
		case p.LastError != nil && p.State != source.StateStreaming:
			r.add(Warning, string(p.Profile), subjectOf(p), "%s%s", p.Problem(), advice(p))
		}
		if p.Profile != source.ProfileJWTSVID { // there can be a thousand
			offered = append(offered, fmt.Sprintf("%s after %v", p.Profile, took.Round(time.Millisecond)))
		}
		if needed {
			slowest = max(slowest, took)
		}
	}
	text := "connected to " + st.Connection.Address
	if uid := os.Getuid(); uid >= 0 { // Windows has none
		text += fmt.Sprintf(" as uid %d", uid)
	}
	if len(offered) > 0 {
		text += ": " + strings.Join(offered, ", ")
	}
	if len(lacking) > 0 {
		text += "; not answered, and not needed here: " + strings.Join(lacking, ", ")
	}
	level := OK
	if slowest > slowAnswer {
		level = Warning
		text += fmt.Sprintf(". The slowest took %v, and so long does every start: look at the agent's load, and at how it finds out what process asks", slowest.Round(time.Millisecond))
	}
	r.add(level, checkWorkloadAPI, "", "%s", text)
}

// subjectOf names a token among several.
func subjectOf(p *source.ProfileStatus) string {
	if p.Profile != source.ProfileJWTSVID {
		return ""
	}
	return strings.TrimPrefix(p.Name(), string(p.Profile)+" ")
}

// advice is what there is to add to a profile's problem.
func advice(p *source.ProfileStatus) string {
	switch {
	case p.State == source.StateUnsupported:
		return "; remove what needs it, or use another agent"
	case p.Reason == source.ReasonNotYetValid, p.Reason == source.ReasonExpired:
		return "; the clock here says " + time.Now().UTC().Format(time.RFC3339)
	}
	return ""
}

func isNeeded(p source.Profile, n source.Needs) bool {
	return map[source.Profile]bool{
		source.ProfileX509SVID: n.X509, source.ProfileX509Bundle: n.X509Bundles,
		source.ProfileJWTSVID: true, source.ProfileJWTBundle: n.JWTBundles,
		source.ProfileWITSVID: n.WIT, source.ProfileWITBundle: n.WITBundles,
	}[p]
}

// identities says which identities there are, and how long they last.
func (r *Report) identities(s *snapshot.Snapshot) {
	if s == nil || s.X509 == nil {
		return
	}
	for i, svid := range s.X509.SVIDs {
		if i == maxIdentities {
			r.add(OK, checkIdentity, "", "and %d more", len(s.X509.SVIDs)-i)
			return
		}
		leaf := svid.Certificates[0]
		left, life := time.Until(leaf.NotAfter), leaf.NotAfter.Sub(leaf.NotBefore)
		text := fmt.Sprintf("until %s, %v left", leaf.NotAfter.UTC().Format(time.RFC3339), left.Round(time.Second))
		if svid.Hint != "" {
			text = fmt.Sprintf("hint %.80q, %s", svid.Hint, text)
		}
		level := OK
		if left < life/4 {
			level = Warning
			text += fmt.Sprintf(" of %v: an agent renews at half of it, so look at the agent's log and at its connection to the server", life.Round(time.Second))
		}
		r.add(level, checkIdentity, svid.ID.String(), "%s", text)
	}
}

// clock says how the clock agrees with the default SVID. One that does not agree is
// why the Workload API's answer is refused, see advice.
func (r *Report) clock(st *source.Status) {
	if st.Snapshot == nil || st.Snapshot.X509 == nil {
		return
	}
	leaf := st.Snapshot.X509.SVIDs[0].Certificates[0]
	r.add(OK, checkClock, "", "the first SVID began %v ago by the clock here", time.Since(leaf.NotBefore).Round(time.Second))
}
