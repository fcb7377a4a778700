package trust

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A leaf is what is shown of an identity.
type leaf struct {
	svid     snapshot.X509SVID
	followed followed            // its bundle, before what the wait adds
	arrived  []*x509.Certificate // authorities that are known to have arrived
	until    time.Time           // a newer SVID waits until then; zero: none does
}

// part is of the longest wait: a newer SVID waits for a third of what is left of
// the one that it replaces. A renewal at half of a life is then on disk before the
// last quarter, in which an SVID counts as late.
const part = 3

// svid returns what is shown of an SVID of the answer.
func (b *step) svid(answer snapshot.X509SVID, crls []*x509.RevocationList) snapshot.X509SVID {
	was, known := b.was(answer)
	now := leaf{svid: answer, followed: follow(b, was.followed, answer.Bundle, x509Kind), arrived: was.arrived}
	now.svid.Bundle = now.followed.shown.(*x509bundle.Bundle)
	switch {
	case !known:
		now.arrived = now.svid.Bundle.X509Authorities()
	case b.settled:
		now.arrived = was.svid.Bundle.X509Authorities()
	}
	if known {
		b.wait(&now, was, crls)
		if gained(was.svid.Bundle, now.svid.Bundle) {
			b.next.since = b.now
		}
	}
	b.next.leaves[who{answer.ID, answer.Hint}] = now
	return now.svid
}

// was returns what was shown of an identity. What was on disk does not tell its
// hint, unless it was selected by it.
func (b *step) was(answer snapshot.X509SVID) (leaf, bool) {
	was, known := b.old.leaves[who{answer.ID, answer.Hint}]
	if !known && b.old.restored {
		was, known = b.old.leaves[who{id: answer.ID}]
	}
	return was, known
}

// wait has the leaf that was shown stay, if the newer one has to wait.
func (b *step) wait(now *leaf, was leaf, crls []*x509.RevocationList) {
	if !b.policy.First || b.urgent || same(now.svid, was.svid) || verifies(now.svid, now.arrived, b.now) || revoked(was.svid, crls) {
		return
	}
	until := was.until
	if until.IsZero() {
		until = b.now.Add(was.svid.Certificates[0].NotAfter.Sub(b.now) / part)
	}
	stays := was.svid
	stays.Hint = now.svid.Hint
	if was.until.IsZero() || was.followed.shown != now.followed.shown {
		stays.Bundle = union(now.svid.Bundle, was.svid.Bundle)
	}
	if !b.now.Before(until) || verify(stays, stays.Bundle, b.now) != nil {
		return
	}
	now.svid, now.until = stays, until
	b.at(until)
}

func same(a, b snapshot.X509SVID) bool { return a.Certificates[0].Equal(b.Certificates[0]) }

// revoked reports whether a leaf is on a revocation list of its issuer.
func revoked(svid snapshot.X509SVID, crls []*x509.RevocationList) bool {
	leaf := svid.Certificates[0]
	return slices.ContainsFunc(crls, func(list *x509.RevocationList) bool {
		return bytes.Equal(list.RawIssuer, leaf.RawIssuer) &&
			slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
				return e.SerialNumber.Cmp(leaf.SerialNumber) == 0
			})
	})
}

// union returns a bundle with the authorities of both.
func union(a, b *x509bundle.Bundle) *x509bundle.Bundle {
	all := a.Clone()
	for _, c := range b.X509Authorities() {
		all.AddX509Authority(c) // unless it is there
	}
	return all
}

// gained reports whether a bundle has an authority that the one before had not.
func gained(before, now *x509bundle.Bundle) bool {
	return before != now && slices.ContainsFunc(now.X509Authorities(), func(c *x509.Certificate) bool {
		return !before.HasX509Authority(c)
	})
}

func verify(svid snapshot.X509SVID, bundle *x509bundle.Bundle, now time.Time) error {
	_, _, err := x509svid.Verify(svid.Certificates, bundle, x509svid.WithTime(now))
	return err
}
