package source

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// An entry of a test's answer: the path of its SPIFFE ID, and then what is special
// about it.
//
//	/a        good
//	/a#h      good, with hint h
//	/a!       bad: garbage in the place of the certificate
//	!         bad: no SPIFFE ID either
//	/a!long   bad: hint too long
type answerMaker struct {
	t    *testing.T
	a    *devapi.Authority
	made map[string]*workload.X509SVID
}

func (m *answerMaker) answer(entries ...string) *workload.X509SVIDResponse {
	m.t.Helper()
	r := x509Answer()
	for _, entry := range entries {
		name, spoil, bad := strings.Cut(entry, "!")
		path, hint, _ := strings.Cut(name, "#")
		svid := m.made[name]
		if svid == nil {
			id := testID
			if path != "" {
				id = spiffeid.RequireFromPath(testTD, path)
			}
			svid = issueX509(m.t, m.a, id, hint)
			m.made[name] = svid
		}
		svid = clone(svid)
		switch {
		case bad && spoil == "long":
			svid.Hint = strings.Repeat("h", maxHint+1)
		case bad && path == "":
			svid.SpiffeId = ""
		case bad:
			svid.X509Svid = []byte("garbage")
		}
		r.Svids = append(r.Svids, svid)
	}
	return r
}

// says writes a part as the entries of an answer are written: a stale one ends
// with ~.
func says(p *x509Part) (svids []string, byDefault string) {
	write := func(s *snapshot.X509SVID) string {
		text := s.ID.Path()
		if s.Hint != "" {
			text += "#" + s.Hint
		}
		if s.Stale {
			text += "~"
		}
		return text
	}
	for i := range p.out.SVIDs {
		svids = append(svids, write(&p.out.SVIDs[i]))
	}
	if d := p.out.Default(); d != nil {
		byDefault = write(d)
	}
	return svids, byDefault
}

// Each identity stands alone: a bad SVID is refused by itself, and never taken for
// a withdrawal.
func TestEachIdentityStandsAlone(t *testing.T) {
	list := strings.Fields
	for name, tt := range map[string]struct {
		before, now string
		want        string // what there is then, in order
		byDefault   string
		refused     int
	}{
		"second bad, never seen":       {"", "/a /b!", "/a", "/a", 1},
		"second bad":                   {"/a /b", "/a /b!", "/a /b~", "/a", 1},
		"first bad":                    {"/a /b", "/a! /b", "/a~ /b", "/a~", 1},
		"first bad, never seen":        {"", "/a! /b", "/b", "", 1},
		"first bad and new":            {"/b", "/a! /b", "/b", "", 1},
		"withdrawn":                    {"/a /b", "/a", "/a", "/a", 0},
		"default withdrawn":            {"/a /b", "/b", "/b", "/b", 0},
		"one bad, one withdrawn":       {"/a /b /c", "/a! /c", "/a~ /c", "/a~", 1},
		"all bad":                      {"/a /b", "/a! /b!", "/a~ /b~", "/a~", 2},
		"all bad and one withdrawn":    {"/a /b", "/a!", "/a~", "/a~", 1},
		"back from bad":                {"/a /b!", "/a /b", "/a /b", "/a", 0},
		"another order":                {"/a /b", "/b! /a", "/b~ /a", "/b~", 1},
		"added":                        {"/a", "/b /a", "/b /a", "/b", 0},
		"hint is part of the identity": {"/a#x", "/a#y! /b", "/b", "", 1},
		"hinted bad":                   {"/a#x /b#y", "/b#y! /a#x", "/b#y~ /a#x", "/b#y~", 1},
		"hint unreadable":              {"/a#x /b", "/a!long /b", "/a#x~ /b", "/a#x~", 1},
		"hint unreadable, of another":  {"/a#x /b", "/c!long /b", "/b", "", 1},
		"ID unreadable":                {"/a /b", "! /b", "/a~ /b", "/a~", 1},
		"ID unreadable, second":        {"/a /b", "/a !", "/a /b~", "/a", 1},
		"ID unreadable, hint known":    {"/a#x /b /c", "/b #x!", "/b /a#x~", "/b", 1},
		"good and bad of one identity": {"/a", "/a! /a", "/a", "/a", 1},
		"second of a hint is ignored":  {"/a#x", "/a#x /b#x!", "/a#x", "/a#x", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := &answerMaker{t, newAuthority(t, "example.org"), map[string]*workload.X509SVID{}}
			var before *x509Part
			if tt.before != "" {
				before, _ = parseX509(t.Context(), m.answer(list(tt.before)...), nil, time.Now())
				if before == nil {
					t.Fatal("nothing before")
				}
			}
			part, err := parseX509(t.Context(), m.answer(list(tt.now)...), before, time.Now())
			if part == nil {
				t.Fatal(err)
			}
			svids, byDefault := says(part)
			if !slices.Equal(svids, list(tt.want)) || byDefault != tt.byDefault {
				t.Errorf("there are %q, by default %q; want %q, by default %q", svids, byDefault, tt.want, tt.byDefault)
			}
			if n := len(part.out.Refused); n != tt.refused || (err != nil) != (n > 0) {
				t.Errorf("%d refused, want %d; error %v", n, tt.refused, err)
			}
			if again, _ := parseX509(t.Context(), m.answer(list(tt.now)...), part, time.Now()); again != part {
				t.Error("the same answer again is news")
			}
		})
	}
}

// For any history of answers, what a part says of an identity is what that
// identity's own history says: gone, its last good SVID, or its present one.
func TestHistoriesOfIdentities(t *testing.T) {
	m := &answerMaker{t, newAuthority(t, "example.org"), map[string]*workload.X509SVID{}}
	paths := []string{"/a", "/b", "/c", "/d"}
	for range 200 {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 0))
		var part *x509Part
		want := map[string]string{} // path to "", "~" or absent
		for step := range 20 {
			var entries []string
			next := map[string]string{}
			for _, i := range r.Perm(len(paths)) {
				path := paths[i]
				_, had := want[path]
				switch r.IntN(4) {
				case 0: // withdrawn
				case 1:
					entries = append(entries, path+"!")
					if had {
						next[path] = "~"
					}
				default:
					entries = append(entries, path)
					next[path] = ""
				}
			}
			now, _ := parseX509(t.Context(), m.answer(entries...), part, time.Now())
			if now == nil { // nothing in it that can be used
				if len(next) > 0 {
					t.Fatalf("seed %d, step %d: %q is refused, want %v", seed, step, entries, next)
				}
				continue
			}
			part, want = now, next
			got := map[string]string{}
			for _, s := range part.out.SVIDs {
				got[s.ID.Path()] = map[bool]string{true: "~"}[s.Stale]
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, step %d: after %q there is %v, want %v", seed, step, entries, got, want)
			}
			if d := part.out.Default(); d != nil && "/"+strings.Trim(entries[0], "/!") != d.ID.Path() {
				t.Fatalf("seed %d, step %d: after %q the default is %s", seed, step, entries, d.ID)
			}
		}
	}
}

// The same holds of WIT-SVIDs.
func TestEachWITStandsAlone(t *testing.T) {
	a, now := newAuthority(t, "example.org"), time.Now()
	issue := func(path string) *workload.WITSVID {
		return issueWIT(t, a, devapi.Identity{ID: spiffeid.RequireFromPath(testTD, path)}, now, now.Add(time.Hour))
	}
	one, two := issue("/one"), issue("/two")
	bad := clone(one)
	bad.WitSvidKey = "{}"
	answer := func(svids ...*workload.WITSVID) *workload.WITSVIDResponse {
		return &workload.WITSVIDResponse{Svids: svids}
	}
	first, err := parseWIT(t.Context(), answer(bad, two), nil, now)
	wantReason(t, err, ReasonGarbage)
	if len(first.out.SVIDs) != 1 || first.out.Default() != nil || len(first.out.Refused) != 1 {
		t.Errorf("%+v", first.out)
	}
	good, err := parseWIT(t.Context(), answer(clone(one), clone(two)), first, now)
	if err != nil || good.out.SVIDs[1] != first.out.SVIDs[0] || good.out.Default() != good.out.SVIDs[0] {
		t.Errorf("%v: %+v", err, good.out)
	}
	second, err := parseWIT(t.Context(), answer(bad, clone(two)), good, now)
	wantReason(t, err, ReasonGarbage)
	if d := second.out.Default(); d == nil || !d.Stale || d.Token != one.WitSvid || second.out.SVIDs[1] != good.out.SVIDs[1] {
		t.Errorf("%+v", second.out)
	}
}

// A source whose one identity is bad goes on with the other, asks again, and
// recovers by itself.
func TestABadIdentityIsAskedForAgain(t *testing.T) {
	t.Parallel()
	ids := []devapi.Identity{{ID: testID}, {ID: spiffeid.RequireFromString("spiffe://example.org/db")}}
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true, Identities: ids})
	s := newTestSource(t, Config{Address: api.Addr(), Needs: Needs{X509: true}})
	stop := run(t, s)
	await(t, s, "both", allArrived)
	edits := must(api.BadX509SVIDsOf(1))
	bad := edits[slices.IndexFunc(edits, func(b devapi.Bad[*workload.X509SVIDResponse]) bool { return b.Name == "expired leaf" })]
	devapi.Mutate(faults, bad.Edit)
	fresh := api.Rotate()[0]
	await(t, s, "the good one", func(snap *snapshot.Snapshot, st *Status) bool {
		return snap.X509.SVIDs[0].Certificates[0].Equal(fresh.Certificates[0]) && snap.X509.SVIDs[1].Stale && st.Profiles[0].State == StateRejected
	})
	if st := s.Status(); !strings.Contains(st.Problem(), "expired") || st.Profiles[0].LastSuccess.IsZero() {
		t.Errorf("the problem is %q", st.Problem())
	}
	faults.Heal() // and no push: the source asks
	await(t, s, "the other one", func(snap *snapshot.Snapshot, st *Status) bool {
		return !snap.X509.SVIDs[1].Stale && st.Profiles[0].State == StateStreaming && st.Problem() == ""
	})
	check(t, stop())
}

// Times of the year 10000 cannot be said in JSON.
func TestYear10000(t *testing.T) {
	api, _ := devapitest.New(t, devapi.Config{})
	svid := x509Answer(issueX509(t, api.Authority(testTD), testID, ""))
	for _, bad := range must(api.BadX509SVIDs()) {
		if bad.Name != "leaf until the year 10000" {
			continue
		}
		bad.Edit(svid)
		svid.Svids[0].SpiffeId = devapi.DefaultID.String()
		_, err := parseX509(t.Context(), svid, nil, time.Now())
		wantReason(t, err, ReasonTime)
		return
	}
	t.Error("no such answer")
}
