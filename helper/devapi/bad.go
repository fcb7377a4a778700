package devapi

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/url"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/protobuf/proto"
)

// A Bad is an answer that no client may take for a good one: an edit, for
// Mutate, of the default identity's part of a good answer.
type Bad[T proto.Message] struct {
	Name string
	Edit func(T)
}

// foreign is a trust domain that has nothing to do with anybody's.
var foreign = spiffeid.RequireTrustDomainFromString("foreign.invalid")

// BadX509SVIDs returns bad answers of FetchX509SVID, made for this server as it
// is now. Most are well signed: only a client that looks finds out.
func (s *Server) BadX509SVIDs() ([]Bad[*workload.X509SVIDResponse], error) {
	good := s.current.Load()
	if len(good.tokens) == 0 {
		return nil, fmt.Errorf("bad answers: there is no identity to spoil")
	}
	id, own := good.tokens[0].Identity, good.tokens[0].authority
	td := id.ID.TrustDomain()
	now := s.config.Now()
	soon := now.Add(time.Hour)

	var firstErr error
	keep := func(err error) {
		if err != nil && firstErr == nil {
			firstErr = err
		}
	}
	authority := func(td spiffeid.TrustDomain, o AuthorityOptions) *Authority {
		a, err := NewAuthority(td, o)
		keep(err)
		return a
	}
	var bad []Bad[*workload.X509SVIDResponse]
	add := func(name string, edit func(*workload.X509SVIDResponse)) {
		bad = append(bad, Bad[*workload.X509SVIDResponse]{name, edit})
	}
	first := func(name string, edit func(*workload.X509SVID)) {
		add(name, func(r *workload.X509SVIDResponse) { edit(r.Svids[0]) })
	}
	// issued replaces certificate and key, and the bundle if it is the
	// issuer's own that shall be wrong.
	issued := func(name string, by *Authority, id Identity, from, to time.Time, bundle []byte, edit ...func(*x509.Certificate)) {
		svid, err := by.IssueX509SVID(id, from, to, edit...)
		keep(err)
		first(name, func(to *workload.X509SVID) {
			to.SpiffeId, to.X509Svid, to.X509SvidKey = svid.SpiffeId, svid.X509Svid, svid.X509SvidKey
			if bundle != nil {
				to.Bundle = bundle
			}
		})
	}

	add("no SVIDs", func(r *workload.X509SVIDResponse) { r.Svids = nil })
	first("no certificate", func(v *workload.X509SVID) { v.X509Svid = nil })
	first("garbage certificate", func(v *workload.X509SVID) { v.X509Svid = []byte("garbage") })
	first("truncated certificate", func(v *workload.X509SVID) { v.X509Svid = v.X509Svid[:len(v.X509Svid)-1] })
	first("garbage after the chain", func(v *workload.X509SVID) { v.X509Svid = append(v.X509Svid, "garbage"...) })
	first("no key", func(v *workload.X509SVID) { v.X509SvidKey = nil })
	first("garbage key", func(v *workload.X509SVID) { v.X509SvidKey = []byte("garbage") })
	first("no bundle", func(v *workload.X509SVID) { v.Bundle = nil })
	first("garbage bundle", func(v *workload.X509SVID) { v.Bundle = []byte("garbage") })
	first("no SPIFFE ID", func(v *workload.X509SVID) { v.SpiffeId = "" })
	first("another SPIFFE ID than the leaf's", func(v *workload.X509SVID) { v.SpiffeId += "-other" })

	other, err := own.IssueX509SVID(id, now, soon)
	keep(err)
	first("another leaf's key", func(v *workload.X509SVID) { v.X509SvidKey = other.X509SvidKey })

	issued("expired leaf", own, id, now.Add(-time.Hour), now.Add(-time.Minute), nil)
	issued("leaf not valid yet", own, id, soon, soon.Add(time.Hour), nil)
	issued("leaf outside the bundle", authority(td, AuthorityOptions{}), id, now, soon, nil)
	expired := authority(td, AuthorityOptions{NotBefore: now.Add(-time.Hour), NotAfter: now.Add(-time.Minute)})
	issued("expired authority", expired, id, now.Add(-time.Hour), soon, expired.root.Raw)
	issued("foreign trust domain's SVID", authority(foreign, AuthorityOptions{}),
		Identity{ID: spiffeid.RequireFromPath(foreign, "/x")}, now, soon, nil)
	issued("leaf that is an authority", own, id, now, soon, nil, func(c *x509.Certificate) { c.IsCA = true })
	issued("leaf that may sign certificates", own, id, now, soon, nil, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign })
	issued("leaf without a SPIFFE ID", own, id, now, soon, nil, func(c *x509.Certificate) { c.URIs = nil })
	issued("leaf with two SPIFFE IDs", own, id, now, soon, nil, func(c *x509.Certificate) {
		c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: td.Name(), Path: "/second"})
	})
	return bad, firstErr
}

// BadJWTSVIDs returns bad answers of FetchJWTSVID, made for this server as it is
// now, and for a client that does not ask for the audience "another".
func (s *Server) BadJWTSVIDs(audience ...string) ([]Bad[*workload.JWTSVIDResponse], error) {
	good := s.current.Load()
	if len(good.tokens) == 0 {
		return nil, fmt.Errorf("bad answers: there is no identity to spoil")
	}
	id, own := good.tokens[0].Identity, good.tokens[0].authority
	now := s.config.Now()
	soon := now.Add(time.Hour)
	bad := []Bad[*workload.JWTSVIDResponse]{
		{"no SVIDs", func(r *workload.JWTSVIDResponse) { r.Svids = nil }},
		{"empty token", func(r *workload.JWTSVIDResponse) { r.Svids[0].Svid = "" }},
		{"garbage token", func(r *workload.JWTSVIDResponse) { r.Svids[0].Svid = "gar.ba.ge" }},
		{"no signature", func(r *workload.JWTSVIDResponse) {
			token := []byte(r.Svids[0].Svid)
			r.Svids[0].Svid = string(token[:bytes.LastIndexByte(token, '.')])
		}},
	}
	var firstErr error
	issued := func(name string, id Identity, audience []string, from, to time.Time) {
		svid, err := own.IssueJWTSVID(id, audience, from, to)
		if err != nil && firstErr == nil {
			firstErr = err
		}
		bad = append(bad, Bad[*workload.JWTSVIDResponse]{name, func(r *workload.JWTSVIDResponse) {
			r.Svids[0].Svid = svid.Svid
		}})
	}
	// JWT validation allows a minute for clocks that disagree.
	issued("expired token", id, audience, now.Add(-time.Hour), now.Add(-2*time.Minute))
	issued("token of another audience", id, []string{"another"}, now, soon)
	issued("token of another SPIFFE ID", Identity{ID: spiffeid.RequireFromPath(foreign, "/x")}, audience, now, soon)
	return bad, firstErr
}

// BadWITSVIDs returns bad answers of FetchWITSVID, made for this server as it is
// now.
func (s *Server) BadWITSVIDs() ([]Bad[*workload.WITSVIDResponse], error) {
	good := s.current.Load()
	if len(good.tokens) == 0 {
		return nil, fmt.Errorf("bad answers: there is no identity to spoil")
	}
	id, own := good.tokens[0].Identity, good.tokens[0].authority
	now := s.config.Now()
	other, err := own.IssueWITSVID(id, now, now.Add(time.Hour))
	if err != nil {
		return nil, err
	}
	expired, err := own.IssueWITSVID(id, now.Add(-time.Hour), now.Add(-2*time.Minute))
	if err != nil {
		return nil, err
	}
	bearer, err := own.IssueJWTSVID(id, []string{"a"}, now, now.Add(time.Hour))
	if err != nil {
		return nil, err
	}
	return []Bad[*workload.WITSVIDResponse]{
		{"no SVIDs", func(r *workload.WITSVIDResponse) { r.Svids = nil }},
		{"empty token", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvid = "" }},
		{"garbage token", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvid = "gar.ba.ge" }},
		{"JWT-SVID for a WIT-SVID", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvid = bearer.Svid }},
		{"no key", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvidKey = "" }},
		{"garbage key", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvidKey = "{}" }},
		{"another token's key", func(r *workload.WITSVIDResponse) { r.Svids[0].WitSvidKey = other.WitSvidKey }},
		{"expired token", func(r *workload.WITSVIDResponse) {
			r.Svids[0].WitSvid, r.Svids[0].WitSvidKey = expired.WitSvid, expired.WitSvidKey
		}},
	}, nil
}
