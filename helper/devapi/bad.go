package devapi

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/protobuf/proto"
)

// A Bad is an answer that no client may take for a good one: an edit, for
// Mutate, of one identity's part of a good answer. Some are malformed; most are
// well signed, and only a client that looks finds out.
type Bad[T proto.Message] struct {
	Name string
	Edit func(T)
}

// foreign is a trust domain that has nothing to do with the server's.
var foreign = spiffeid.RequireTrustDomainFromString("foreign.invalid")

// A spoiler issues, for one identity, what should not be issued. The first
// error sticks.
type spoiler struct {
	Identity
	own       *Authority // that really issues for the identity
	now, soon time.Time
	err       error
}

func (s *Server) spoiler(identity int) (*spoiler, error) {
	tokens := s.current.Load().tokens
	if identity >= len(tokens) {
		return nil, fmt.Errorf("bad answers: there is no identity %d to spoil", identity)
	}
	now, of := s.config.Now(), tokens[identity]
	return &spoiler{Identity: of.Identity, own: of.authority, now: now, soon: now.Add(time.Hour)}, nil
}

// keep returns what was issued, and remembers why it was not.
func keep[T any](sp *spoiler, issued *T, err error) *T {
	sp.err = errors.Join(sp.err, err)
	if issued == nil {
		return new(T)
	}
	return issued
}

func (sp *spoiler) authority(td spiffeid.TrustDomain, o AuthorityOptions) *Authority {
	a, err := NewAuthority(td, o)
	return keep(sp, a, err)
}

// BadX509SVIDs returns bad answers of FetchX509SVID, made for this server as it
// is now. They spoil the default identity.
func (s *Server) BadX509SVIDs() ([]Bad[*workload.X509SVIDResponse], error) {
	return s.BadX509SVIDsOf(0)
}

// BadX509SVIDsOf spoils the identity at that place in the answer instead.
func (s *Server) BadX509SVIDsOf(identity int) ([]Bad[*workload.X509SVIDResponse], error) {
	sp, err := s.spoiler(identity)
	if err != nil {
		return nil, err
	}
	bad := []Bad[*workload.X509SVIDResponse]{
		{"no SVIDs", func(r *workload.X509SVIDResponse) { r.Svids = nil }},
	}
	for _, b := range append(malformedX509(), sp.misissuedX509()...) {
		bad = append(bad, Bad[*workload.X509SVIDResponse]{b.Name, func(r *workload.X509SVIDResponse) { b.Edit(r.Svids[identity]) }})
	}
	return bad, sp.err
}

func malformedX509() []Bad[*workload.X509SVID] {
	garbage := []byte("garbage")
	return []Bad[*workload.X509SVID]{
		{"no certificate", func(v *workload.X509SVID) { v.X509Svid = nil }},
		{"garbage certificate", func(v *workload.X509SVID) { v.X509Svid = garbage }},
		{"truncated certificate", func(v *workload.X509SVID) { v.X509Svid = v.X509Svid[:len(v.X509Svid)-1] }},
		{"garbage after the chain", func(v *workload.X509SVID) { v.X509Svid = append(v.X509Svid, garbage...) }},
		{"no key", func(v *workload.X509SVID) { v.X509SvidKey = nil }},
		{"garbage key", func(v *workload.X509SVID) { v.X509SvidKey = garbage }},
		{"no bundle", func(v *workload.X509SVID) { v.Bundle = nil }},
		{"garbage bundle", func(v *workload.X509SVID) { v.Bundle = garbage }},
		{"no SPIFFE ID", func(v *workload.X509SVID) { v.SpiffeId = "" }},
		{"another SPIFFE ID than the leaf's", func(v *workload.X509SVID) { v.SpiffeId += "-other" }},
	}
}

func (sp *spoiler) misissuedX509() []Bad[*workload.X509SVID] {
	now, soon, ago := sp.now, sp.soon, sp.now.Add(-time.Hour)
	td := sp.ID.TrustDomain()
	issue := func(by *Authority, id Identity, from, to time.Time, edit ...func(*x509.Certificate)) func(*workload.X509SVID) {
		svid, err := by.IssueX509SVID(id, from, to, edit...)
		svid = keep(sp, svid, err)
		return func(v *workload.X509SVID) {
			v.SpiffeId, v.X509Svid, v.X509SvidKey = svid.SpiffeId, svid.X509Svid, svid.X509SvidKey
		}
	}
	other, err := sp.own.IssueX509SVID(sp.Identity, now, soon)
	other = keep(sp, other, err)
	expired := sp.authority(td, AuthorityOptions{NotBefore: ago, NotAfter: now.Add(-time.Minute)})
	byExpired := issue(expired, sp.Identity, ago, soon)
	stranger := Identity{ID: spiffeid.RequireFromPath(foreign, "/x")}

	return []Bad[*workload.X509SVID]{
		{"another leaf's key", func(v *workload.X509SVID) { v.X509SvidKey = other.X509SvidKey }},
		{"expired leaf", issue(sp.own, sp.Identity, ago, now.Add(-time.Minute))},
		{"leaf not valid yet", issue(sp.own, sp.Identity, soon, soon.Add(time.Hour))},
		{"leaf outside the bundle", issue(sp.authority(td, AuthorityOptions{}), sp.Identity, now, soon)},
		{"expired authority", func(v *workload.X509SVID) { byExpired(v); v.Bundle = expired.root.Raw }},
		{"foreign trust domain's SVID", issue(sp.authority(foreign, AuthorityOptions{}), stranger, now, soon)},
		{"leaf that is an authority", issue(sp.own, sp.Identity, now, soon, func(c *x509.Certificate) { c.IsCA = true })},
		{"leaf that may sign certificates", issue(sp.own, sp.Identity, now, soon, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign })},
		{"leaf for code signing", issue(sp.own, sp.Identity, now, soon, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })},
		{"leaf until the year 10000", sp.beyond9999()},
		{"hint too long", func(v *workload.X509SVID) { v.Hint = strings.Repeat("h", 1025) }},
		{"leaf without a SPIFFE ID", issue(sp.own, sp.Identity, now, soon, func(c *x509.Certificate) { c.URIs = nil })},
		{"leaf with two SPIFFE IDs", issue(sp.own, sp.Identity, now, soon, func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: td.Name(), Path: "/second"})
		})},
	}
}

// beyond9999 issues a leaf whose end is 9999-12-31T23:59:59-01:00: the year 10000
// in UTC.
func (sp *spoiler) beyond9999() func(*workload.X509SVID) {
	svid, err := sp.own.IssueX509SVID(sp.Identity, sp.now, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	svid = keep(sp, svid, err)
	leaf, err := sp.own.restamp(svid.X509Svid, "99991231235959-0100")
	sp.err = errors.Join(sp.err, err)
	return func(v *workload.X509SVID) { v.X509Svid, v.X509SvidKey = leaf, svid.X509SvidKey }
}

// restamp gives a chain's leaf another end of its validity, as it is written, and
// signs it again.
func (a *Authority) restamp(chain []byte, notAfter string) ([]byte, error) {
	var cert struct {
		TBS struct {
			Version   int `asn1:"explicit,tag:0"`
			Serial    *big.Int
			Algorithm pkix.AlgorithmIdentifier
			Issuer    asn1.RawValue
			Validity  struct{ NotBefore, NotAfter asn1.RawValue }
			Subject   asn1.RawValue
			PublicKey asn1.RawValue
			Rest      []asn1.RawValue `asn1:"explicit,tag:3"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	intermediates, err := asn1.Unmarshal(chain, &cert)
	if err != nil {
		return nil, err
	}
	cert.TBS.Validity.NotAfter = asn1.RawValue{Tag: asn1.TagGeneralizedTime, Bytes: []byte(notAfter)}
	tbs, err := asn1.Marshal(cert.TBS)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(tbs)
	signature, err := a.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	cert.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	leaf, err := asn1.Marshal(cert)
	return append(leaf, intermediates...), err
}

// BadJWTSVIDs returns bad answers of FetchJWTSVID to a request for the given
// audience, made for this server as it is now.
func (s *Server) BadJWTSVIDs(audience ...string) ([]Bad[*workload.JWTSVIDResponse], error) {
	sp, err := s.spoiler(0)
	if err != nil {
		return nil, err
	}
	token := func(edit func(token string) string) func(*workload.JWTSVIDResponse) {
		return func(r *workload.JWTSVIDResponse) { r.Svids[0].Svid = edit(r.Svids[0].Svid) }
	}
	issue := func(id Identity, audience []string, from, to time.Time) func(*workload.JWTSVIDResponse) {
		svid, err := sp.own.IssueJWTSVID(id, audience, from, to)
		svid = keep(sp, svid, err)
		return token(func(string) string { return svid.Svid })
	}
	stranger := Identity{ID: spiffeid.RequireFromPath(foreign, "/x")}
	bad := []Bad[*workload.JWTSVIDResponse]{
		{"no SVIDs", func(r *workload.JWTSVIDResponse) { r.Svids = nil }},
		{"empty token", token(func(string) string { return "" })},
		{"garbage token", token(func(string) string { return "gar.ba.ge" })},
		{"token without its signature", token(func(good string) string { return good[:strings.LastIndexByte(good, '.')] })},
		// Further in the past than any leeway for clocks that disagree.
		{"expired token", issue(sp.Identity, audience, sp.now.Add(-time.Hour), sp.now.Add(-2*time.Minute))},
		{"token of another audience", issue(sp.Identity, []string{strings.Join(audience, "-") + "-other"}, sp.now, sp.soon)},
		{"foreign trust domain's token", issue(stranger, audience, sp.now, sp.soon)},
		{"expiry in milliseconds", issue(sp.Identity, audience, sp.now, time.Unix(sp.soon.UnixMilli(), 0))},
		{"critical extension", token(func(good string) string { return withHeader(good, `"crit":["x"],"x":1,`) })},
	}
	return bad, sp.err
}

// withHeader adds members to the header of a token, whose signature is wrong then.
func withHeader(token, members string) string {
	header, rest, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return token
	}
	return base64.RawURLEncoding.EncodeToString([]byte("{"+members+string(raw[1:]))) + "." + rest
}

// BadWITSVIDs returns bad answers of FetchWITSVID, made for this server as it is
// now.
func (s *Server) BadWITSVIDs() ([]Bad[*workload.WITSVIDResponse], error) {
	sp, err := s.spoiler(0)
	if err != nil {
		return nil, err
	}
	issue := func(id Identity, from, to time.Time) *workload.WITSVID {
		svid, err := sp.own.IssueWITSVID(id, from, to)
		return keep(sp, svid, err)
	}
	other := issue(sp.Identity, sp.now, sp.soon)
	expired := issue(sp.Identity, sp.now.Add(-time.Hour), sp.now.Add(-2*time.Minute))
	bearer, err := sp.own.IssueJWTSVID(sp.Identity, []string{"a"}, sp.now, sp.soon)
	bearer = keep(sp, bearer, err)

	first := func(edit func(*workload.WITSVID)) func(*workload.WITSVIDResponse) {
		return func(r *workload.WITSVIDResponse) { edit(r.Svids[0]) }
	}
	bad := []Bad[*workload.WITSVIDResponse]{
		{"no SVIDs", func(r *workload.WITSVIDResponse) { r.Svids = nil }},
		{"empty token", first(func(v *workload.WITSVID) { v.WitSvid = "" })},
		{"garbage token", first(func(v *workload.WITSVID) { v.WitSvid = "gar.ba.ge" })},
		{"JWT-SVID in place of a WIT-SVID", first(func(v *workload.WITSVID) { v.WitSvid = bearer.Svid })},
		{"no key", first(func(v *workload.WITSVID) { v.WitSvidKey = "" })},
		{"garbage key", first(func(v *workload.WITSVID) { v.WitSvidKey = "{}" })},
		{"another token's key", first(func(v *workload.WITSVID) { v.WitSvidKey = other.WitSvidKey })},
		{"expired token", first(func(v *workload.WITSVID) { v.WitSvid, v.WitSvidKey = expired.WitSvid, expired.WitSvidKey })},
	}
	return bad, sp.err
}
