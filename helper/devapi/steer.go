package devapi

import (
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Rotate issues new SVIDs, of the given SPIFFE IDs or else of all, and pushes
// them to every stream. It returns all current SVIDs, in the order of the
// identities.
func (s *Server) Rotate(ids ...spiffeid.ID) []*x509svid.SVID {
	s.renew(func(m *member) bool { return len(ids) == 0 || slices.Contains(ids, m.ID) })
	return s.SVIDs()
}

func (s *Server) renew(due func(*member) bool) {
	var renewed []*x509svid.SVID
	err := s.change("rotating", func(w *world) error {
		now := time.Now()
		for _, m := range w.members {
			if !due(m) {
				continue
			}
			if err := w.issue(m, now); err != nil {
				return err
			}
			renewed = append(renewed, m.svid)
		}
		return nil
	})
	if err != nil {
		return // and logged
	}
	for _, svid := range renewed {
		s.logSVID("rotated", svid) // only now can a client have it
	}
}

func (s *Server) logSVID(what string, svid *x509svid.SVID) {
	leaf := svid.Certificates[0]
	s.log.Info(what, "spiffe_id", svid.ID, "serial", fmt.Sprintf("%X", leaf.SerialNumber.Bytes()), "expires", leaf.NotAfter)
}

// change lets f change the world, then pushes the outcome.
func (s *Server) change(what string, f func(*world) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := f(s.world)
	if err == nil {
		err = s.publish()
	}
	if err != nil {
		s.log.Error(what+" failed", "error", err)
	}
	return err
}

// publish makes the world's answers the current ones. Its caller holds mu.
func (s *Server) publish() error {
	next, err := s.world.answers()
	if err != nil {
		return err
	}
	if old := s.current.Swap(next); old != nil {
		close(old.superseded)
	}
	return nil
}

// Push sends everything to every stream once more, unchanged.
func (s *Server) Push() {
	s.change("pushing", func(w *world) error { w.bundles = nil; return nil })
}

// SetIdentities replaces the identities and pushes the outcome, as an agent does
// when registration entries change: identities can be added, withdrawn and put
// in another order. One that was there before keeps its SVIDs. While others
// remain, one that is withdrawn is just missing from the answers. With none, every
// stream ends with PermissionDenied.
func (s *Server) SetIdentities(ids ...Identity) error {
	return s.change("setting identities", func(w *world) error { return w.setIdentities(ids) })
}

// SetFederated replaces the foreign trust domains and pushes the outcome.
func (s *Server) SetFederated(tds ...spiffeid.TrustDomain) error {
	return s.change("setting federated trust domains", func(w *world) error { return w.setFederated(tds) })
}

// AddAuthority publishes a new authority of the trust domain beside the old
// ones. What is issued from now on is issued by it; SVIDs stay until they are
// rotated.
func (s *Server) AddAuthority(td spiffeid.TrustDomain) error {
	return s.changeDomain(td, (*world).addAuthority)
}

// RetireAuthorities withdraws all authorities of the trust domain but the
// newest. An SVID that an older one issued does not verify any more.
func (s *Server) RetireAuthorities(td spiffeid.TrustDomain) error {
	return s.changeDomain(td, (*world).retireAuthorities)
}

func (s *Server) changeDomain(td spiffeid.TrustDomain, f func(*world, *domain) error) error {
	return s.change("changing authorities", func(w *world) error {
		d, err := w.domain(td, w.config.JWTAlgorithm)
		if err != nil {
			return err
		}
		return f(w, d)
	})
}

// Revoke puts an X.509-SVID on its trust domain's revocation list.
func (s *Server) Revoke(svid *x509svid.SVID) error {
	return s.changeDomain(svid.ID.TrustDomain(), func(w *world, d *domain) error {
		return w.revoke(d, svid.Certificates[0].SerialNumber)
	})
}

// Authority returns the authority that issues for the trust domain now. A test
// issues with it what the server itself would not.
func (s *Server) Authority(td spiffeid.TrustDomain) *Authority {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.world.domains[td]; ok {
		return d.issuer()
	}
	return nil
}

// SVIDs returns the current X.509-SVIDs, in the order of the identities.
func (s *Server) SVIDs() []*x509svid.SVID { return slices.Clone(s.current.Load().svids) }

// X509Bundles returns the current X.509 bundles, which are not to be changed.
func (s *Server) X509Bundles() *x509bundle.Set { return s.current.Load().bundles.x509Set }

// JWTBundles returns the current JWT bundles, which are not to be changed.
func (s *Server) JWTBundles() *jwtbundle.Set { return s.current.Load().bundles.jwtSet }

// WITBundles returns the current WIT bundles, which are not to be changed.
func (s *Server) WITBundles() *witbundle.Set { return s.current.Load().bundles.witSet }
