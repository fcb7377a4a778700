package notify

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// An expectation is what should be served once a notification has arrived.
type expectation struct {
	leaves      []*x509.Certificate
	authorities []*x509.Certificate // that should be trusted; none without client_ca
	client      *tls.Certificate
	notice      hook.Notice // for a command
	change      uint64      // its number, where there is a command
	published   time.Time
	asked       uint64 // notifications of the target's that come first
	number      uint64 // of the expectation
}

// same reports whether another expectation wants the same to be served.
func (e expectation) same(other expectation) bool {
	return e.change == other.change &&
		slices.EqualFunc(e.leaves, other.leaves, (*x509.Certificate).Equal) &&
		slices.EqualFunc(e.authorities, other.authorities, (*x509.Certificate).Equal)
}

func (e expectation) want() proof.Want {
	w := proof.Want{Leaves: e.leaves, Authorities: e.authorities, Notice: e.notice, Published: e.published}
	if e.client != nil {
		w.Certificate = func() (*tls.Certificate, error) { return e.client, nil }
	}
	return w
}

// expect says what the target, which has just been told, should come to serve.
// It never blocks.
func (r *proofRunner) expect(c publish.Change) {
	commanded := len(r.cfg.Command) > 0
	if len(c.OnDisk) == 0 && !commanded {
		return
	}
	e := expectation{published: c.At, asked: r.target.line.progress().asked, number: r.asked.Add(1)}
	if commanded {
		e.notice, e.change = proofNotice(c), c.Number
	}
	for i, svid := range c.OnDisk {
		if i == 0 {
			e.client = clientCertificate(svid)
		}
		e.leaves = addMissing(e.leaves, svid.Certificates[:1])
		if r.cfg.ClientCA {
			e.authorities = addMissing(e.authorities, svid.Bundle.X509Authorities())
		}
	}
	if r.cfg.ClientCA && len(c.Waiting) > 0 { // an SVID of the authority that is to arrive
		e.client = clientCertificate(c.Waiting[0])
	}
	// The publisher alone sends, so that there is room after the old one is out.
	select {
	case <-r.wanted:
	default:
	}
	r.wanted <- e
}

// addMissing adds certificates to a list, each once: an SVID may be in several
// outputs, and a bundle may be that of several SVIDs.
func addMissing(list, more []*x509.Certificate) []*x509.Certificate {
	for _, c := range more {
		if !slices.ContainsFunc(list, c.Equal) {
			list = append(list, c)
		}
	}
	return list
}

// clientCertificate is what is shown to a service that asks for one; nil without
// a key.
func clientCertificate(svid snapshot.X509SVID) *tls.Certificate {
	if svid.PrivateKey == nil {
		return nil
	}
	c := &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]}
	for _, cert := range svid.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	return c
}
