package source

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

func parseJWTBundle(td spiffeid.TrustDomain, raw []byte) (*jwtbundle.Bundle, refusals, error) {
	keys, ignored, err := parseJWKS(raw, "jwt-svid")
	if err != nil {
		return nil, ignored, reject(ReasonGarbage, "JWT bundle of %q: %w", td, err)
	}
	return jwtbundle.FromJWTAuthorities(td, keys), ignored, nil
}

func parseWITBundle(td spiffeid.TrustDomain, raw []byte) (*witbundle.Bundle, refusals, error) {
	keys, ignored, err := parseJWKS(raw, "wit-svid")
	if err != nil {
		return nil, ignored, reject(ReasonGarbage, "WIT bundle of %q: %w", td, err)
	}
	return witbundle.FromWITAuthorities(td, keys), ignored, nil
}

// parseJWKS returns the authorities of a JWKS by key ID. A key that is not for
// us, of an unknown type or for another use, is left out (SPIFFE Trust Domain and
// Bundle 4.1.3). A malformed or weak one is left out and counted (RFC 7517 5), and
// so is the second of two with one key ID: the first counts. A private or
// symmetric key refuses the set: its issuer has lost a secret. So does a set in
// which nothing but malformed keys is left. A document without "keys" is no JWKS.
// One with no keys is right: the trust domain has withdrawn them.
func parseJWKS(raw []byte, use string) (authorities map[string]crypto.PublicKey, ignored refusals, err error) {
	keys, err := rawKeys(raw)
	if err != nil {
		return nil, ignored, err
	}
	authorities = make(map[string]crypto.PublicKey, len(keys))
	for i, key := range keys {
		var named struct{ Kty, Crv, Use, Kid string }
		if err := json.Unmarshal(key, &named); err == nil && foreignKey(named.Kty, named.Crv, named.Use, use) {
			continue
		}
		public, err := publicKey(key)
		switch {
		case errors.Is(err, errSecretKey):
			return nil, ignored, err
		case err == nil && named.Kid == "":
			err = errors.New("it has no kid")
		case err == nil && authorities[named.Kid] != nil:
			err = errors.New("another key has the same kid: the first counts")
		}
		if err != nil {
			ignored.add(reject(ReasonAuthority, "key %d of the JWKS, kid %.100q, is ignored: %w", i, named.Kid, err))
			continue
		}
		authorities[named.Kid] = public
	}
	if len(authorities) == 0 && ignored.count > 0 {
		return nil, ignored, ignored.err()
	}
	return authorities, ignored, nil
}

// rawKeys returns the keys of a JWKS, each as it is written.
func rawKeys(raw []byte) ([]json.RawMessage, error) {
	var doc struct {
		Keys *keyList `json:"keys"`
	}
	switch err := json.Unmarshal(raw, &doc); {
	case errors.Is(err, errManyKeys):
		return nil, err
	case err != nil || doc.Keys == nil:
		return nil, errors.New("not a JWKS: it has no keys member")
	}
	return *doc.Keys, nil
}

var errManyKeys = fmt.Errorf("more than %d keys", maxAuthorities)

// A keyList is decoded one by one, so that a million keys of two bytes are not
// collected.
type keyList []json.RawMessage

func (l *keyList) UnmarshalJSON(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return errors.New("keys is not an array")
	}
	for *l = (*l)[:0]; d.More(); {
		if len(*l) == maxAuthorities {
			return errManyKeys
		}
		var key json.RawMessage
		if err := d.Decode(&key); err != nil {
			return err
		}
		*l = append(*l, key)
	}
	return nil
}

// foreignKey reports whether a key is of a type that we do not know, or for
// another use than ours. One that does not say, or says "sig", as others than
// SPIFFE do, can be for ours.
func foreignKey(kty, crv, keyUse, use string) bool {
	if keyUse != "" && keyUse != "sig" && keyUse != use {
		return true
	}
	switch kty {
	case "EC":
		return !slices.Contains([]string{"P-256", "P-384", "P-521"}, crv)
	case "OKP":
		return crv != "Ed25519"
	case "RSA", "oct", "":
		return false
	default:
		return true
	}
}

var errSecretKey = errors.New("it has a private or symmetric key")

// The sizes of an RSA authority, in bits: a shorter one can be broken (RFC 7518
// 3.3), and a longer one takes each validator long.
const (
	minRSA = 2048
	maxRSA = 16384
)

// publicKey parses one public key. What a parser says of a key that may be
// private is not for logs.
func publicKey(raw json.RawMessage) (crypto.PublicKey, error) {
	var secret struct{ K, D *json.RawMessage }
	if err := json.Unmarshal(raw, &secret); err == nil && (secret.K != nil || secret.D != nil) {
		return nil, errSecretKey
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return nil, errors.New("it does not parse")
	}
	rsaKey, isRSA := jwk.Key.(*rsa.PublicKey)
	switch {
	case !jwk.Valid() || !jwk.IsPublic():
		return nil, errors.New("it is not a public key")
	case isRSA && (rsaKey.N.BitLen() < minRSA || rsaKey.N.BitLen() > maxRSA):
		return nil, fmt.Errorf("RSA of %d bits, not of %d to %d", rsaKey.N.BitLen(), minRSA, maxRSA)
	case isRSA && (rsaKey.E < 3 || rsaKey.E%2 == 0):
		return nil, errors.New("RSA with a public exponent that is even or 1")
	}
	return jwk.Key, nil
}
