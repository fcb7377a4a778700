package devapi

import (
	"crypto/x509"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// A world is everything that the server could say: trust domains, identities,
// and what was issued to them last. Its owner serialises access to it; what
// leaves it are answers, which never change.
type world struct {
	config    Config
	domains   map[spiffeid.TrustDomain]*domain // every one that ever mattered
	federated []spiffeid.TrustDomain
	members   []*member
	bundles   *bundles // nil: to be made anew
}

// A member is an identity with its current SVIDs.
type member struct {
	Identity
	x509    *workload.X509SVID
	svid    *x509svid.SVID // the same, parsed
	wit     *workload.WITSVID
	renewAt time.Time
}

// answers are what the server says until they are superseded.
type answers struct {
	bundles   *bundles
	x509SVIDs *workload.X509SVIDResponse
	witSVIDs  *workload.WITSVIDResponse
	svids     []*x509svid.SVID // as in x509SVIDs
	tokens    []tokenIssuer
	renewAt   time.Time // of the SVID that is due first; zero: never

	superseded chan struct{} // closed when there are newer ones
}

// A tokenIssuer issues JWT-SVIDs to one identity.
type tokenIssuer struct {
	Identity
	authority *Authority
}

func newWorld(c Config) (*world, error) {
	w := &world{config: c, domains: make(map[spiffeid.TrustDomain]*domain)}
	if err := w.setIdentities(c.Identities); err != nil {
		return nil, err
	}
	if err := w.setFederated(c.Federated); err != nil {
		return nil, err
	}
	return w, nil
}

// domain returns the trust domain of that name; it makes one, which signs with
// the algorithm, when it is new.
func (w *world) domain(td spiffeid.TrustDomain, algorithm JWTAlgorithm) (*domain, error) {
	if d, ok := w.domains[td]; ok {
		return d, nil
	}
	d := &domain{name: td, algorithm: algorithm}
	if err := w.addAuthority(d); err != nil {
		return nil, err
	}
	w.domains[td] = d
	return d, nil
}

func (w *world) addAuthority(d *domain) error {
	now := w.config.Now()
	a, err := NewAuthority(d.name, AuthorityOptions{
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.AddDate(1, 0, 0).Add(2 * w.config.TTL),
		Intermediate: w.config.Intermediate,
		JWTAlgorithm: d.algorithm,
	})
	if err != nil {
		return err
	}
	d.authorities = append(d.authorities, a)
	w.bundles = nil
	return w.refreshCRLs(d)
}

// retireAuthorities leaves the newest authority of a trust domain only.
func (w *world) retireAuthorities(d *domain) error {
	d.authorities = []*Authority{d.issuer()}
	w.bundles = nil
	return w.refreshCRLs(d)
}

// refreshCRLs is to be called when authorities or revocations have changed.
func (w *world) refreshCRLs(d *domain) error {
	if !w.config.CRL && len(d.revoked) == 0 {
		return nil
	}
	w.bundles = nil
	return d.reissueCRLs(w.config)
}

// setFederated replaces the foreign trust domains. One that comes back has the
// authorities that it had. They sign with ES256 whatever the Config says: a
// thousand RSA keys would take minutes.
func (w *world) setFederated(tds []spiffeid.TrustDomain) error {
	for _, td := range tds {
		if _, err := w.domain(td, ES256); err != nil {
			return err
		}
	}
	w.federated, w.bundles = slices.Clone(tds), nil
	return nil
}

// setIdentities replaces the identities. One that was there before keeps its
// SVIDs.
func (w *world) setIdentities(ids []Identity) error {
	var members []*member
	now := time.Now() // what is issued together rotates together, in one message
	for _, id := range ids {
		if id.ID.IsZero() {
			return fmt.Errorf("an identity has no SPIFFE ID")
		}
		if i := slices.IndexFunc(w.members, func(m *member) bool { return m.equal(id) }); i >= 0 {
			members = append(members, w.members[i])
			continue
		}
		m := &member{Identity: id}
		if err := w.issue(m, now); err != nil {
			return err
		}
		members = append(members, m)
	}
	w.members, w.bundles = members, nil
	return nil
}

// issue gives a member new SVIDs. When it fails the member keeps those it has,
// and the next try is due at half of a lifetime as ever. issued is when, by the
// clock of the schedule.
func (w *world) issue(m *member, issued time.Time) error {
	ttl := m.TTL
	if ttl <= 0 {
		ttl = w.config.TTL
	}
	if !w.config.ManualRotation {
		m.renewAt = issued.Add(ttl / 2)
	}
	d, err := w.domain(m.ID.TrustDomain(), w.config.JWTAlgorithm)
	if err != nil {
		return err
	}
	now := w.config.Now()
	leaf, err := d.issuer().IssueX509SVID(m.Identity, now.Add(-backdate), fullSecond(now.Add(ttl)))
	if err != nil {
		return err
	}
	wit, err := d.issuer().IssueWITSVID(m.Identity, now, fullSecond(now.Add(ttl)))
	if err != nil {
		return err
	}
	svid, err := x509svid.ParseRaw(leaf.X509Svid, leaf.X509SvidKey)
	if err != nil {
		return fmt.Errorf("issuing an X.509-SVID for %s: %w", m.ID, err)
	}
	svid.Hint = m.Hint
	m.x509, m.svid, m.wit = leaf, svid, wit
	return nil
}

// answers returns what is to be said from now on. Bundles that did not change
// are the same pointers as before: that is how a stream knows what to send.
func (w *world) answers() (*answers, error) {
	home := w.home()
	if w.bundles == nil {
		b, err := w.newBundles(home)
		if err != nil {
			return nil, err
		}
		w.bundles = b
	}
	a := &answers{
		bundles: w.bundles,
		x509SVIDs: &workload.X509SVIDResponse{
			Crl:              w.bundles.x509.Crl,
			FederatedBundles: w.bundles.federated,
		},
		witSVIDs:   &workload.WITSVIDResponse{},
		superseded: make(chan struct{}),
	}
	for i, m := range w.members {
		a.x509SVIDs.Svids = append(a.x509SVIDs.Svids, &workload.X509SVID{
			SpiffeId:    m.x509.SpiffeId,
			X509Svid:    m.x509.X509Svid,
			X509SvidKey: m.x509.X509SvidKey,
			Bundle:      w.bundles.x509.Bundles[home[i].name.IDString()],
			Hint:        m.Hint,
		})
		a.witSVIDs.Svids = append(a.witSVIDs.Svids, m.wit)
		a.svids = append(a.svids, m.svid)
		a.tokens = append(a.tokens, tokenIssuer{m.Identity, home[i].issuer()})
		if !m.renewAt.IsZero() && (a.renewAt.IsZero() || m.renewAt.Before(a.renewAt)) {
			a.renewAt = m.renewAt
		}
	}
	return a, nil
}

// home returns the trust domain of each identity.
func (w *world) home() []*domain {
	home := make([]*domain, len(w.members))
	for i, m := range w.members {
		home[i] = w.domains[m.ID.TrustDomain()] // made when its first SVID was issued
	}
	return home
}

// newBundles encodes each trust domain once, so that a rotation among a thousand
// federated trust domains costs no more than one among none.
func (w *world) newBundles(home []*domain) (*bundles, error) {
	b := newBundles()
	for _, d := range home {
		if err := b.add(d); err != nil {
			return nil, err
		}
	}
	for _, td := range w.federated {
		if err := b.add(w.domains[td]); err != nil {
			return nil, err
		}
		b.federated[td.IDString()] = b.x509.Bundles[td.IDString()]
	}
	return b, nil
}

func (w *world) revoke(d *domain, serial *big.Int) error {
	d.revoked = append(d.revoked, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: w.config.Now()})
	return w.refreshCRLs(d)
}
