package encode

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// Values of "use" in a SPIFFE bundle (SPIFFE Trust Domain and Bundle 4.2.2).
const (
	useX509 = "x509-svid"
	useJWT  = "jwt-svid"
	useWIT  = "wit-svid"
)

func (r *encoding) jwtSVID(sel Selection, tokens map[snapshot.JWTRequest]*snapshot.JWTSVID) (absent bool, err error) {
	want := &r.output.JWTSVIDs[sel.Index]
	svid := tokens[want.Request()]
	if svid == nil {
		r.gap(sel, false, nil)
		return false, nil
	}
	file, err := r.expand(want.File, ofSVID(svid.ID, svid.Hint, 0))
	if err == nil {
		err = r.add(file, snapshot.KindJWT, true, []byte(svid.Token))
	}
	if err != nil {
		return false, err
	}
	r.set.Identities = append(r.set.Identities, Identity{
		Kind: snapshot.KindJWT, Selection: sel, ID: svid.ID, Hint: svid.Hint, Audience: want.Audience,
		Serial: svid.TokenID, Issued: svid.Issued, NotAfter: svid.Expiry.UTC(), Files: []string{file.Name},
	})
	return false, nil
}

func (r *encoding) jwtBundle(sel Selection, answer *snapshot.JWTBundles) (absent bool, err error) {
	want := &r.output.JWTBundles[sel.Index]
	bundles := choose(r, sel, "JWT bundle", answer.Bundles, want.TrustDomains)
	return false, files(r, sel, want.File, want.TrustDomains, bundles, func(f FileSpec, bundles []*jwtbundle.Bundle) error {
		return bundleFile(r, sel, "JWT", f, want.Format, want.TrustDomains, bundles, jwtKeys)
	})
}

func (r *encoding) witBundle(sel Selection, answer *snapshot.WITBundles) (absent bool, err error) {
	want := &r.output.WITBundles[sel.Index]
	bundles := choose(r, sel, "WIT bundle", answer.Bundles, want.TrustDomains)
	return false, files(r, sel, want.File, want.TrustDomains, bundles, func(f FileSpec, bundles []*witbundle.Bundle) error {
		return bundleFile(r, sel, "WIT", f, want.Format, want.TrustDomains, bundles, witKeys)
	})
}

// A bundle is what the bundles of all profiles have in common.
type bundle interface {
	comparable
	TrustDomain() spiffeid.TrustDomain
}

// choose returns the bundles of the wanted trust domains, or all. One that the
// answer lacks is awaited, and not kept: an authority that is gone must not be
// trusted any more.
func choose[B bundle](r *encoding, sel Selection, what string, all []B, wanted []spiffeid.TrustDomain) []B {
	if len(wanted) == 0 {
		return all
	}
	var chosen []B
	for _, td := range wanted {
		i := slices.IndexFunc(all, func(b B) bool { return b.TrustDomain() == td })
		if i < 0 {
			r.lack(sel, what+" of "+td.Name())
			continue
		}
		chosen = append(chosen, all[i])
	}
	slices.SortStableFunc(chosen, func(a, b B) int { return a.TrustDomain().Compare(b.TrustDomain()) })
	return chosen
}

// files encodes bundles into one file, or each into its own when the file's name
// holds {trust_domain}. A trust domain that cannot have one is left out by itself.
func files[B bundle](r *encoding, sel Selection, f FileSpec, wanted []spiffeid.TrustDomain, bundles []B, encode func(FileSpec, []B) error) error {
	if !f.Varies() || len(bundles) == 0 {
		return encode(f, bundles)
	}
	first := len(r.set.Files)
	for _, b := range bundles {
		own, err := r.expand(f, naming{trustDomain: b.TrustDomain()})
		if err == nil {
			err = encode(own, []B{b})
		}
		if err != nil {
			r.skip(fmt.Errorf("bundle of %.80s: %w", b.TrustDomain(), err))
		}
	}
	if len(r.set.Files) == first && len(wanted) == 0 {
		r.lack(sel, r.output.Describe(sel))
	}
	return nil
}

// pointers returns bundles as memo keys.
func pointers[B bundle](bundles []B) []any {
	from := make([]any, len(bundles))
	for i, b := range bundles {
		from[i] = b
	}
	return from
}

// single returns the only bundle.
func single[B bundle](bundles []B) (b B, err error) {
	switch len(bundles) {
	case 0:
		return b, errNothing
	case 1:
		return bundles[0], nil
	}
	return b, fmt.Errorf("a SPIFFE bundle holds one trust domain, and there are %d: name one in trust_domains", len(bundles))
}

func errFormat(profile string, f BundleFormat) error {
	return fmt.Errorf("%s bundles cannot be written in format %q", profile, f)
}

// bundleFile adds a file of JWT or WIT bundles. use tells the keys apart in a
// SPIFFE bundle.
func bundleFile[B bundle](r *encoding, sel Selection, profile string, file FileSpec, format BundleFormat, wanted []spiffeid.TrustDomain, bundles []B, keys func(B, bool) []jose.JSONWebKey) error {
	if len(bundles) == 0 && len(wanted) > 0 {
		return nil // awaited already
	}
	data, err := r.recall("file", file.Name, pointers(bundles), func() ([]byte, error) {
		switch format {
		case FormatDefault, FormatMap:
			return marshalMap(r, profile, bundles, keys)
		case FormatJWKS:
			var all []jose.JSONWebKey
			for _, b := range bundles {
				all = append(all, keys(b, false)...)
			}
			return marshalJWKS(all)
		case FormatSPIFFE:
			b, err := single(bundles)
			if err != nil {
				return nil, err
			}
			return marshalJWKS(keys(b, true))
		}
		return nil, errFormat(profile, format)
	})
	if err == errNothing {
		r.lack(sel, profile+" bundles")
		return nil
	}
	if err != nil {
		return err
	}
	return r.add(file, sel.Block.kind(), false, data)
}

// marshalMap writes trust domain names to the base64 of their JWKS.
func marshalMap[B bundle](r *encoding, profile string, bundles []B, keys func(B, bool) []jose.JSONWebKey) ([]byte, error) {
	out := make(map[string]string, len(bundles))
	for _, b := range bundles {
		name := b.TrustDomain().Name()
		jwks, err := r.recall(profile+" jwks", name, []any{b}, func() ([]byte, error) { return marshalJWKS(keys(b, false)) })
		if err != nil {
			return nil, err
		}
		out[name] = base64.StdEncoding.EncodeToString(jwks)
	}
	return json.Marshal(out) // in the order of the names
}

// marshalJWKS writes a JWKS document (RFC 7517 5).
func marshalJWKS(keys []jose.JSONWebKey) ([]byte, error) {
	if keys == nil {
		keys = []jose.JSONWebKey{} // "keys" is an array, even of none
	}
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		return nil, fmt.Errorf("encoding a JWKS: %w", err)
	}
	return data, nil
}

// sortedKeys puts the authorities of a bundle in the order of their key IDs.
func sortedKeys(authorities map[string]crypto.PublicKey, use string) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, kid := range slices.Sorted(maps.Keys(authorities)) {
		keys = append(keys, jose.JSONWebKey{Key: authorities[kid], KeyID: kid, Use: use})
	}
	return keys
}

func jwtKeys(b *jwtbundle.Bundle, spiffe bool) []jose.JSONWebKey {
	if spiffe {
		return sortedKeys(b.JWTAuthorities(), useJWT)
	}
	return sortedKeys(b.JWTAuthorities(), "")
}

func witKeys(b *witbundle.Bundle, _ bool) []jose.JSONWebKey {
	return sortedKeys(b.WITAuthorities(), useWIT)
}

func x509Keys(b *x509bundle.Bundle) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, c := range b.X509Authorities() {
		keys = append(keys, jose.JSONWebKey{Key: c.PublicKey, Certificates: []*x509.Certificate{c}, Use: useX509})
	}
	return keys
}

type witCandidate struct{ *snapshot.WITSVID }

func (c witCandidate) id() spiffeid.ID { return c.ID }
func (c witCandidate) hint() string    { return c.Hint }

func (r *encoding) witSVIDs(sel Selection, answer *snapshot.WIT) (absent bool, err error) {
	want := &r.output.WITSVIDs[sel.Index]
	if want.Select == (Selector{}) && answer.DefaultRefused {
		return false, refusedIn(answer.Refused, want.Select)
	}
	var all []witCandidate
	for _, svid := range answer.SVIDs {
		all = append(all, witCandidate{svid})
	}
	picked, err := pick("WIT-SVID", all, want.Select)
	if err != nil {
		if bad := refusedIn(answer.Refused, want.Select); bad != nil {
			return false, bad
		}
		return true, err
	}
	for index, c := range picked {
		if err := r.one(want.Select, c, func() error { return r.witSVID(sel, want, c.WITSVID, index) }); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (r *encoding) witSVID(sel Selection, want *WITSVID, svid *snapshot.WITSVID, index int) error {
	identity := Identity{Kind: snapshot.KindWIT, Selection: sel, Default: want.Select == Selector{}, Stale: svid.Stale, ID: svid.ID, Hint: svid.Hint, Issued: svid.Issued, NotAfter: svid.Expiry.UTC()}
	for _, f := range []struct {
		spec   FileSpec
		encode func() ([]byte, error)
	}{
		{want.Token, func() ([]byte, error) { return []byte(svid.Token), nil }},
		{want.Key, func() ([]byte, error) { return witKey(svid) }},
	} {
		if !f.spec.Wanted() {
			continue
		}
		spec, err := r.expand(f.spec, ofSVID(svid.ID, svid.Hint, index))
		if err != nil {
			return err
		}
		data, err := r.recall("file", spec.Name, []any{svid}, f.encode)
		if err != nil {
			return err
		}
		if err := r.add(spec, snapshot.KindWIT, true, data); err != nil {
			return err
		}
		identity.Files = append(identity.Files, spec.Name)
	}
	r.set.Identities = append(r.set.Identities, identity)
	return nil
}

// witKey writes the private key that the token is bound to as a JWK (RFC 7517).
// It repeats what the token's cnf.jwk says about the key.
func witKey(svid *snapshot.WITSVID) ([]byte, error) {
	if svid.PrivateKey == nil {
		return nil, fmt.Errorf("the Workload API gave no private key")
	}
	jwk := boundKey(svid.Token)
	jwk.Key = svid.PrivateKey
	data, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	return data, nil
}

// boundKey returns cnf.jwk of a token that was checked when it was received, or
// the zero JWK.
func boundKey(token string) jose.JSONWebKey {
	var claims struct {
		Cnf struct {
			JWK jose.JSONWebKey `json:"jwk"`
		} `json:"cnf"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return jose.JSONWebKey{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return jose.JSONWebKey{}
	}
	jwk := claims.Cnf.JWK
	return jose.JSONWebKey{KeyID: jwk.KeyID, Algorithm: jwk.Algorithm, Use: jwk.Use}
}
