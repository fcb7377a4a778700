package trust

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

var (
	td    = spiffeid.RequireTrustDomainFromString("example.org")
	start = time.Now().Truncate(time.Second)
)

// A world is authorities by one letter each, and leaves by their issuer and a
// number, "A1".
type world struct {
	t           *testing.T
	authorities map[string]*devapi.Authority
	leaves      map[string]*x509svid.SVID
	bundles     map[string]*x509bundle.Bundle
}

func newWorld(t *testing.T) *world {
	return &world{t, map[string]*devapi.Authority{}, map[string]*x509svid.SVID{}, map[string]*x509bundle.Bundle{}}
}

func (w *world) authority(name string) *devapi.Authority {
	w.t.Helper()
	if w.authorities[name] == nil {
		o := devapi.AuthorityOptions{NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour)}
		if strings.ToLower(name) == name { // a small letter: it ends soon
			o.NotAfter = start.Add(time.Minute)
		}
		a, err := devapi.NewAuthority(td, o)
		if err != nil {
			w.t.Fatal(err)
		}
		w.authorities[name] = a
	}
	return w.authorities[name]
}

// leaf returns a leaf whose life is an hour, half of which is over.
func (w *world) leaf(name, path string) *x509svid.SVID {
	w.t.Helper()
	key := name + path
	if w.leaves[key] == nil {
		id := devapi.Identity{ID: spiffeid.RequireFromPath(td, path)}
		raw, err := w.authority(name[:1]).IssueX509SVID(id, start.Add(-30*time.Minute), start.Add(30*time.Minute))
		if err != nil {
			w.t.Fatal(err)
		}
		svid, err := x509svid.ParseRaw(raw.X509Svid, raw.X509SvidKey)
		if err != nil {
			w.t.Fatal(err)
		}
		w.leaves[key] = svid
	}
	return w.leaves[key]
}

func (w *world) bundle(letters string) *x509bundle.Bundle {
	w.t.Helper()
	if w.bundles[letters] == nil {
		b := x509bundle.New(td)
		for _, l := range letters {
			b.AddX509Authority(w.authority(string(l)).X509Authority())
		}
		w.bundles[letters] = b
	}
	return w.bundles[letters]
}

// answer is "A1 AB": a leaf and its bundle; several with a comma, for /a, /b, ….
func (w *world) answer(text string, crls ...*x509.RevocationList) *snapshot.Snapshot {
	w.t.Helper()
	x := &snapshot.X509{CRLs: crls}
	for i, one := range strings.Split(text, ", ") {
		leaf, bundle, _ := strings.Cut(one, " ")
		x.SVIDs = append(x.SVIDs, snapshot.X509SVID{SVID: w.leaf(leaf, fmt.Sprintf("/%c", 'a'+i)), Bundle: w.bundle(bundle)})
	}
	return &snapshot.Snapshot{X509: x}
}

// say is what answer understands.
func (w *world) say(s *snapshot.Snapshot) string {
	w.t.Helper()
	var all []string
	for _, svid := range s.X509.SVIDs {
		said := "?"
		for name, l := range w.leaves {
			if l.Certificates[0].Equal(svid.Certificates[0]) {
				said, _, _ = strings.Cut(name, "/")
			}
		}
		all = append(all, said+" "+w.letters(svid.Bundle))
	}
	return strings.Join(all, ", ")
}

func (w *world) letters(b *x509bundle.Bundle) string {
	var letters []string
	for _, c := range b.X509Authorities() {
		for name, a := range w.authorities {
			if a.X509Authority().Equal(c) {
				letters = append(letters, name)
			}
		}
	}
	slices.Sort(letters)
	return strings.Join(letters, "")
}

// TestShow: what is shown of each answer, moment by moment.
func TestShow(t *testing.T) {
	const s, m = time.Second, time.Minute
	type look struct {
		after time.Duration // since the start
		says  string        // of the Workload API; empty: as before
		news  News
		shows string
	}
	first := Policy{First: true}
	all := Policy{First: true, Lead: 10 * s, Linger: 2 * m}
	for _, c := range []struct {
		name   string
		policy Policy
		looks  []look
	}{
		{"at once", Policy{}, []look{{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 B", Awaited, "B2 B"}}},
		{"a rotation waits for nothing", all, []look{{0, "A1 A", Awaited, "A1 A"}, {1 * s, "A2 A", Awaited, "A2 A"}}},
		{"the first answer waits for nothing", all, []look{{0, "B1 AB", Awaited, "B1 AB"}}},
		{"a new authority that is not used yet", all, []look{{0, "A1 A", Awaited, "A1 A"}, {1 * s, "A2 AB", Awaited, "A2 AB"}}},
		{"bundle, then leaf", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB", Awaited, "A1 AB"}, {2 * s, "", Awaited, "A1 AB"}, {3 * s, "", Arrived, "B2 AB"},
		}},
		{"it had its own answer, and has not arrived", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "A1 AB", Awaited, "A1 AB"}, {2 * s, "B2 AB", Awaited, "A1 AB"}, {3 * s, "", Arrived, "B2 AB"},
		}},
		{"it had its own answer, and has arrived", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "A1 AB", Awaited, "A1 AB"}, {2 * s, "B2 AB", Arrived, "B2 AB"},
		}},
		{"the old authority has left already", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 B", Awaited, "A1 AB"}, {2 * s, "", Arrived, "B2 B"},
		}},
		{"the lead", all, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB", Awaited, "A1 AB"}, {10 * s, "", Arrived, "A1 AB"}, {11 * s, "", Arrived, "B2 AB"},
		}},
		{"after the lead it is still awaited", all, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB", Awaited, "A1 AB"}, {20 * s, "", Awaited, "A1 AB"}, {21 * s, "", Arrived, "B2 AB"},
		}},
		{"it never arrives", all, []look{ // 30 minutes are left of A1
			{0, "A1 A", Awaited, "A1 A"}, {0, "B2 AB", Awaited, "A1 AB"}, {10*m - s, "", Awaited, "A1 AB"}, {10 * m, "", Awaited, "B2 AB"},
		}},
		{"a third of what was left, whatever comes meanwhile", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {0, "B2 AB", Awaited, "A1 AB"}, {9 * m, "B3 AB", Awaited, "A1 AB"}, {9 * m, "C4 ABC", Awaited, "A1 ABC"},
			{10 * m, "", Awaited, "C4 ABC"},
		}},
		{"an identity is refused", all, []look{{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB", Awaited, "A1 AB"}, {2 * s, "", Urgent, "B2 AB"}}},
		{"the old leaf has expired", all, []look{{0, "A1 A", Awaited, "A1 A"}, {30 * m, "B2 AB", Awaited, "B2 AB"}}},
		{"the old authority has expired", first, []look{{0, "a1 a", Awaited, "a1 a"}, {2 * m, "B2 Ba", Awaited, "B2 Ba"}}},
		{"back to the old authority", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB", Awaited, "A1 AB"}, {2 * s, "A3 A", Awaited, "A3 A"},
		}},
		{"an authority lingers", Policy{Linger: m}, []look{
			{0, "A1 AB", Awaited, "A1 AB"}, {1 * s, "A1 A", Awaited, "A1 AB"}, {m, "", Awaited, "A1 AB"}, {m + s, "", Awaited, "A1 A"},
		}},
		{"it does not outlive itself", Policy{Linger: time.Hour}, []look{
			{0, "A1 Ab", Awaited, "A1 Ab"}, {1 * s, "A1 A", Awaited, "A1 Ab"}, {m, "", Awaited, "A1 A"},
		}},
		{"it comes back", Policy{Linger: m}, []look{
			{0, "A1 AB", Awaited, "A1 AB"}, {1 * s, "A1 A", Awaited, "A1 AB"}, {2 * s, "A1 AB", Awaited, "A1 AB"},
			{3 * s, "A1 A", Awaited, "A1 AB"}, {m + 2*s, "", Awaited, "A1 AB"}, {m + 3*s, "", Awaited, "A1 A"},
		}},
		{"one after the other", Policy{Linger: m}, []look{
			{0, "A1 ABC", Awaited, "A1 ABC"}, {1 * s, "A1 AB", Awaited, "A1 ABC"}, {30 * s, "A1 A", Awaited, "A1 ABC"},
			{m + s, "", Awaited, "A1 AB"}, {m + 30*s, "", Awaited, "A1 A"},
		}},
		{"both, with an authority that is gone in one answer", all, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 B", Awaited, "A1 AB"}, {11 * s, "", Arrived, "B2 AB"}, {2*m + s, "", Arrived, "B2 B"},
		}},
		{"two identities", first, []look{
			{0, "A1 A, A1 A", Awaited, "A1 A, A1 A"}, {1 * s, "B2 AB, A2 AB", Awaited, "A1 AB, A2 AB"}, {2 * s, "", Arrived, "B2 AB, A2 AB"},
		}},
		{"an identity that is new", first, []look{
			{0, "A1 A", Awaited, "A1 A"}, {1 * s, "B2 AB, B2 AB", Awaited, "A1 AB, B2 AB"}, {2 * s, "", Arrived, "B2 AB, B2 AB"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var st *State
			var answer, last *snapshot.Snapshot
			for i, l := range c.looks {
				if l.says != "" {
					answer = w.answer(l.says)
				}
				now := start.Add(l.after)
				shown, next := st.Show(c.policy, answer, now, l.news)
				if got := w.say(shown); got != l.shows {
					t.Fatalf("%d: after %v, of %q is shown %q, want %q", i, l.after, l.says, got, l.shows)
				}
				again, _ := next.Show(c.policy, answer, now, l.news)
				if again != shown {
					t.Errorf("%d: another look at the same moment gives another snapshot", i)
				}
				if l.says == "" && l.shows == c.looks[i-1].shows && shown != last {
					t.Errorf("%d: nothing has changed, and the snapshot has", i)
				}
				// What changes by itself is announced.
				if l.says == "" && l.news == c.looks[i-1].news && l.shows != c.looks[i-1].shows {
					if at := st.Next(c.policy, start); at.After(now) || at.IsZero() {
						t.Errorf("%d: the next moment was %v after the start, and %v is too late", i, at.Sub(start), l.after)
					}
				}
				st, last = next, shown
			}
		})
	}
}

// TestShowRevoked: a leaf that its issuer has revoked is replaced at once.
func TestShowRevoked(t *testing.T) {
	w := newWorld(t)
	p := Policy{First: true}
	_, st := (*State)(nil).Show(p, w.answer("A1 A"), start, Awaited)
	for _, c := range []struct{ revoked, want string }{{"A9", "A1 AB"}, {"A1", "B2 AB"}} {
		raw, err := w.authority("A").IssueCRL(1, start, []x509.RevocationListEntry{{SerialNumber: w.leaf(c.revoked, "/a").Certificates[0].SerialNumber, RevocationTime: start}})
		if err != nil {
			t.Fatal(err)
		}
		crl, err := x509.ParseRevocationList(raw)
		if err != nil {
			t.Fatal(err)
		}
		if shown, _ := st.Show(p, w.answer("B2 AB", crl), start, Awaited); w.say(shown) != c.want {
			t.Errorf("with %s revoked: %s, want %s", c.revoked, w.say(shown), c.want)
		}
	}
}

// TestWaiting: the leaf that waits, what is there instead, and for how long.
func TestWaiting(t *testing.T) {
	w := newWorld(t)
	p := Policy{First: true}
	_, st := (*State)(nil).Show(p, w.answer("A1 A"), start, Awaited)
	if len(st.Waiting()) > 0 || !st.Since().IsZero() {
		t.Error("something waits at first")
	}
	_, st = st.Show(p, w.answer("B2 AB"), start.Add(time.Second), Awaited)
	got := st.Waiting()
	if len(got) != 1 || got[0].SVID.SVID != w.leaf("B2", "/a") || got[0].Shown.SVID != w.leaf("A1", "/a") || !st.Since().Equal(start.Add(time.Second)) {
		t.Errorf("%+v waits since %v", got, st.Since())
	}
	_, st = st.Show(p, w.answer("B2 AB"), start.Add(2*time.Second), Arrived)
	if len(st.Waiting()) > 0 || !st.Since().IsZero() {
		t.Error("it waits still")
	}
}

// TestOtherBundles: every bundle of a snapshot lingers, each in its own place, and a
// trust domain that the answer lacks does not.
func TestOtherBundles(t *testing.T) {
	w := newWorld(t)
	p := Policy{First: true, Linger: time.Minute}
	jwt := func(kids ...string) []*jwtbundle.Bundle {
		b := jwtbundle.New(td)
		for _, kid := range kids {
			if err := b.AddJWTAuthority(kid, crypto.PublicKey("key of "+kid)); err != nil {
				t.Fatal(err)
			}
		}
		return []*jwtbundle.Bundle{b}
	}
	far := x509bundle.FromX509Authorities(spiffeid.RequireTrustDomainFromString("far.test"), w.bundle("A").X509Authorities())
	before, after := w.answer("A1 A"), w.answer("A1 A")
	before.X509Bundles = &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{w.bundle("AB"), far}}
	before.X509.Federated = []*x509bundle.Bundle{w.bundle("AC"), far}
	before.JWTBundles = &snapshot.JWTBundles{Bundles: jwt("1", "2")}
	after.X509Bundles = &snapshot.X509Bundles{Bundles: []*x509bundle.Bundle{w.bundle("A")}}
	after.X509.Federated = []*x509bundle.Bundle{w.bundle("A")}
	after.JWTBundles = &snapshot.JWTBundles{Bundles: jwt("1")}

	shown, st := (*State)(nil).Show(p, before, start, Awaited)
	if shown != before {
		t.Error("nothing has left, and the snapshot is another one")
	}
	look := func(at time.Duration) string {
		t.Helper()
		var keys []string
		shown, st = st.Show(p, after, start.Add(at), Awaited)
		for kid := range shown.JWTBundles.Bundles[0].JWTAuthorities() {
			keys = append(keys, kid)
		}
		slices.Sort(keys)
		return fmt.Sprintln(len(shown.X509Bundles.Bundles), w.letters(shown.X509Bundles.Bundles[0]), len(shown.X509.Federated), w.letters(shown.X509.Federated[0]), keys)
	}
	if got, want := look(time.Second), "1 AB 1 AC [1 2]\n"; got != want {
		t.Errorf("at first %s, want %s", got, want)
	}
	if got, want := look(time.Second+time.Minute), "1 A 1 A [1]\n"; got != want {
		t.Errorf("in the end %s, want %s", got, want)
	}
	if shown != after {
		t.Error("nothing lingers, and the snapshot is not the answer")
	}
}

// TestRestored: a run that starts with what an earlier one has left goes on with it.
func TestRestored(t *testing.T) {
	p := Policy{First: true, Lead: 10 * time.Second, Linger: time.Minute}
	for _, c := range []struct {
		name, disk  string
		memory      func(w *world) Memory
		says, shows string
		later       string // once it has arrived, 10 seconds later
		end         string // a minute after the start
	}{
		{"the authority came while nobody was there", "A1 A", nil, "B2 AB", "A1 AB", "B2 AB", "B2 AB"},
		{"the authority was there, and had arrived", "A1 AB", nil, "B2 AB", "B2 AB", "B2 AB", "B2 AB"},
		{"it was there, and had not arrived", "A1 AB", func(w *world) Memory { return Memory{Fresh: []string{nameOf(w.authority("B").X509Authority())}} }, "B2 AB", "A1 AB", "B2 AB", "B2 AB"},
		{"the old one left while nobody was there", "B2 AB", nil, "B2 B", "B2 AB", "B2 AB", "B2 B"},
		{"the old one was leaving", "B2 AB", func(w *world) Memory {
			return Memory{Leaving: map[string]time.Time{nameOf(w.authority("A").X509Authority()): start.Add(5 * time.Second)}}
		}, "B2 B", "B2 AB", "B2 B", "B2 B"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var m Memory
			if c.memory != nil {
				for _, l := range "AB" {
					w.authority(string(l))
				}
				m = c.memory(w)
			}
			disk := w.answer(c.disk).X509.SVIDs
			copied := *disk[0].SVID // what is read from the disk is another pointer
			disk[0].SVID = &copied
			st := Restored(disk, m, start)
			_, st = st.Show(p, &snapshot.Snapshot{}, start, Awaited) // another stream is first
			answer := w.answer(c.says)
			answer.X509.SVIDs[0].SVID.Hint = "internal" // which no certificate tells
			for _, l := range []struct {
				at   time.Duration
				want string
			}{{0, c.shows}, {10 * time.Second, c.later}, {time.Minute, c.end}} {
				shown, next := st.Show(p, answer, start.Add(l.at), Arrived)
				if got := w.say(shown); got != l.want {
					t.Errorf("after %v: %s, want %s", l.at, got, l.want)
				}
				if shown.X509.SVIDs[0].Hint != "internal" {
					t.Errorf("the hint is %q", shown.X509.SVIDs[0].Hint)
				}
				st = next
			}
		})
	}
}

// TestMemory: what one run remembers is what the next one goes on with.
func TestMemory(t *testing.T) {
	w := newWorld(t)
	p := Policy{First: true, Linger: time.Minute}
	_, st := (*State)(nil).Show(p, w.answer("A1 A"), start, Awaited)
	if m := st.Memory(); !reflect.DeepEqual(m, Memory{}) {
		t.Errorf("at first %+v is remembered", m)
	}
	_, st = st.Show(p, w.answer("B2 B"), start, Awaited)
	a, b := nameOf(w.authority("A").X509Authority()), nameOf(w.authority("B").X509Authority())
	want := Memory{Fresh: []string{b}, Leaving: map[string]time.Time{a: start.Add(time.Minute)}}
	if got := st.Memory(); !reflect.DeepEqual(got, want) {
		t.Errorf("remembered %+v, want %+v", got, want)
	}
}
