package source

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

func parseJWTBundle(td spiffeid.TrustDomain, raw []byte) (*jwtbundle.Bundle, error) {
	own, err := ownKeys(raw, "jwt-svid")
	if err != nil {
		return nil, reject(ReasonGarbage, "JWT bundle of %q: %w", td, err)
	}
	b, err := jwtbundle.Parse(td, own)
	if err == nil {
		err = checkPublic(b.JWTAuthorities())
	}
	if err != nil {
		return nil, reject(ReasonGarbage, "JWT bundle of %q: %w", td, err)
	}
	return b, nil
}

func parseWITBundle(td spiffeid.TrustDomain, raw []byte) (*witbundle.Bundle, error) {
	own, err := ownKeys(raw, "wit-svid")
	if err != nil {
		return nil, reject(ReasonGarbage, "WIT bundle of %q: %w", td, err)
	}
	b, err := witbundle.Parse(td, own)
	if err == nil {
		err = checkPublic(b.WITAuthorities())
	}
	if err != nil {
		return nil, reject(ReasonGarbage, "WIT bundle of %q: %w", td, err)
	}
	return b, nil
}

// ownKeys returns a JWKS without the keys that are not for us: those of an
// unknown type or for another use are to be ignored (SPIFFE Trust Domain and
// Bundle 4.1.3), where go-spiffe would refuse all of it. A document without
// "keys" is no JWKS. One with no keys is right: the trust domain has withdrawn
// them.
func ownKeys(raw []byte, use string) ([]byte, error) {
	var doc struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Keys == nil {
		return nil, errors.New("not a JWKS: it has no keys member")
	}
	kept := slices.DeleteFunc(slices.Clone(*doc.Keys), func(key json.RawMessage) bool { return foreignKey(key, use) })
	if len(kept) == len(*doc.Keys) {
		return raw, nil
	}
	return json.Marshal(map[string][]json.RawMessage{"keys": kept})
}

// foreignKey reports whether a key is of a type that we do not know, or for
// another use than ours. One that does not say, or says "sig", as others than
// SPIFFE do, can be for ours.
func foreignKey(raw json.RawMessage, use string) bool {
	var key struct{ Kty, Crv, Use string }
	if json.Unmarshal(raw, &key) != nil {
		return false // the parser will say what is wrong with it
	}
	if key.Use != "" && key.Use != "sig" && key.Use != use {
		return true
	}
	switch key.Kty {
	case "EC":
		return !slices.Contains([]string{"P-256", "P-384", "P-521"}, key.Crv)
	case "OKP":
		return key.Crv != "Ed25519"
	case "RSA", "oct", "":
		return false
	default:
		return true
	}
}

// checkPublic looks at what go-spiffe leaves open: an authority is a public key,
// never a private or a shared one.
func checkPublic(authorities map[string]crypto.PublicKey) error {
	for kid, key := range authorities {
		jwk := jose.JSONWebKey{Key: key}
		if !jwk.Valid() || !jwk.IsPublic() {
			return fmt.Errorf("authority %.100q is not a public key", kid)
		}
	}
	return nil
}
