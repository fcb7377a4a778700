package encode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A joined is what the profiles say of one trust domain. A profile that says
// nothing of it is nil.
type joined struct {
	trustDomain spiffeid.TrustDomain
	x509        *x509bundle.Bundle
	jwt         *jwtbundle.Bundle
	wit         *witbundle.Bundle
}

func (j joined) TrustDomain() spiffeid.TrustDomain { return j.trustDomain }

// kind is what a change of the bundle is a change of.
func (b *SPIFFEBundle) kind() snapshot.Kind {
	kind := snapshot.KindNone
	for a, k := range map[Authority]snapshot.Kind{AuthorityX509: snapshot.KindBundle, AuthorityJWT: snapshot.KindJWT, AuthorityWIT: snapshot.KindWIT} {
		if b.Has(a) {
			kind |= k
		}
	}
	return kind
}

// spiffeBundle waits until every profile has answered: what lacks the authorities of
// one would say that they are withdrawn.
func (r *encoding) spiffeBundle(sel Selection, s *snapshot.Snapshot) (absent bool, err error) {
	want := &r.output.SPIFFEBundles[sel.Index]
	if want.Has(AuthorityX509) && s.X509Bundles == nil || want.Has(AuthorityJWT) && s.JWTBundles == nil || want.Has(AuthorityWIT) && s.WITBundles == nil {
		r.gap(sel, false, nil)
		return false, nil
	}
	bundles := choose(r, sel, "SPIFFE bundle", join(want, s), want.TrustDomains)
	return false, files(r, sel, want.File, want.TrustDomains, bundles, func(f FileSpec, bundles []joined) error {
		return r.spiffeBundleFile(sel, want, f, bundles)
	})
}

// join puts together what the profiles say, in the order of trust domains.
func join(want *SPIFFEBundle, s *snapshot.Snapshot) []joined {
	all := map[spiffeid.TrustDomain]joined{}
	add := func(td spiffeid.TrustDomain, set func(j *joined)) {
		j := all[td]
		j.trustDomain = td
		set(&j)
		all[td] = j
	}
	if want.Has(AuthorityX509) {
		for _, b := range s.X509Bundles.Bundles {
			add(b.TrustDomain(), func(j *joined) { j.x509 = b })
		}
	}
	if want.Has(AuthorityJWT) {
		for _, b := range s.JWTBundles.Bundles {
			add(b.TrustDomain(), func(j *joined) { j.jwt = b })
		}
	}
	if want.Has(AuthorityWIT) {
		for _, b := range s.WITBundles.Bundles {
			add(b.TrustDomain(), func(j *joined) { j.wit = b })
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b joined) int { return a.trustDomain.Compare(b.trustDomain) })
}

func (r *encoding) spiffeBundleFile(sel Selection, want *SPIFFEBundle, file FileSpec, bundles []joined) error {
	if len(bundles) == 0 && want.Format != FormatMap { // choose has said so, where trust domains are named
		if len(want.TrustDomains) == 0 {
			r.lack(sel, r.output.Describe(sel))
		}
		return nil
	}
	onDisk := sync.OnceValue(func() []byte {
		data, _ := r.published(file.Name) // what cannot be read begins anew
		return data
	})
	data, err := r.recall("file", file.Name, pointers(bundles), func() ([]byte, error) {
		if want.Format == FormatMap {
			return r.bundleMap(file.Name, onDisk, bundles)
		}
		b, err := single(bundles)
		if err != nil {
			return nil, err
		}
		hint := want.RefreshHint
		if hint == 0 {
			hint = DefaultRefreshHint
		}
		return r.supersede("file", file.Name, onDisk, func(sequence int64) ([]byte, error) { return b.document(sequence, hint) })
	})
	if err != nil {
		return err
	}
	return r.add(file, want.kind(), false, data)
}

// A bundleMap is a map of all trust domains (SPIFFE Trust Domain and Bundle 5.1).
type bundleMap struct {
	TrustDomains map[string]json.RawMessage `json:"trust_domains"`
}

// bundleMap writes a map. A trust domain that did not change is not encoded again.
func (r *encoding) bundleMap(file string, onDisk func() []byte, bundles []joined) ([]byte, error) {
	last := sync.OnceValue(func() (m bundleMap) {
		_ = json.Unmarshal(onDisk(), &m) // what does not parse begins anew
		return m
	})
	next, form := bundleMap{map[string]json.RawMessage{}}, "map "+file
	for _, b := range bundles {
		name := b.trustDomain.Name()
		data, err := r.recall(form, name, []any{b}, func() ([]byte, error) {
			return r.supersede(form, name, func() []byte { return last().TrustDomains[name] },
				func(sequence int64) ([]byte, error) { return b.document(sequence, 0) })
		})
		if err != nil {
			return nil, err
		}
		next.TrustDomains[name] = data
	}
	return json.Marshal(next)
}

// supersede encodes a bundle in the place of the last one under a memo's key, or else
// of the one on disk.
func (r *encoding) supersede(form, name string, onDisk func() []byte, encode func(sequence int64) ([]byte, error)) ([]byte, error) {
	before := r.memo[memoKey{form, name}].data
	if before == nil {
		before = onDisk()
	}
	return supersede(before, r.now, encode)
}

// document writes the bundle of one trust domain (SPIFFE Trust Domain and Bundle 4).
func (j joined) document(sequence int64, refreshHint time.Duration) ([]byte, error) {
	doc := struct {
		Sequence    int64             `json:"spiffe_sequence"`
		RefreshHint int64             `json:"spiffe_refresh_hint,omitempty"` // seconds
		Keys        []jose.JSONWebKey `json:"keys"`
	}{sequence, int64((refreshHint + time.Second - 1) / time.Second), []jose.JSONWebKey{}}
	if j.x509 != nil {
		doc.Keys = append(doc.Keys, x509Keys(j.x509)...)
	}
	if j.jwt != nil {
		doc.Keys = append(doc.Keys, jwtKeys(j.jwt, true)...)
	}
	if j.wit != nil {
		doc.Keys = append(doc.Keys, witKeys(j.wit, true)...)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encoding a SPIFFE bundle: %w", err)
	}
	return data, nil
}

// maxSequence is the largest sequence number that a reader tells from its neighbours,
// whatever type it has for numbers.
const maxSequence = 1 << 53

// supersede encodes a bundle in the place of the one before. The sequence number
// stays while the content does, and grows with each change (SPIFFE Trust Domain and
// Bundle 4.1.1). It is the time at which the change was seen, in seconds, or one more
// than the number before: so it grows even when what was published before is lost.
func supersede(before []byte, now time.Time, encode func(sequence int64) ([]byte, error)) ([]byte, error) {
	var last struct {
		Sequence int64 `json:"spiffe_sequence"`
	}
	next := max(now.Unix(), 1)
	if json.Unmarshal(before, &last) == nil && last.Sequence > 0 && last.Sequence < maxSequence-1 {
		data, err := encode(last.Sequence)
		if err != nil || bytes.Equal(data, before) {
			return data, err
		}
		next = max(next, last.Sequence+1)
	}
	return encode(next)
}
