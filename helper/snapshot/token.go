package snapshot

import (
	"crypto"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A JWTSVID is a JWT-SVID (JWT-SVID 3). The SVID of go-spiffe cannot be made of
// a token that was issued by a clock ahead of ours, and such a token is valid.
type JWTSVID struct {
	ID       spiffeid.ID
	Hint     string
	Audience []string
	Issued   time.Time // in UTC; zero: the token does not say
	Expiry   time.Time // in UTC
	TokenID  string    // jti, unless empty
	Token    string    // JWS in compact serialization
}

// A WITSVID is a WIT-SVID and the private key that it is bound to.
type WITSVID struct {
	ID         spiffeid.ID
	Hint       string
	Issued     time.Time // in UTC; zero: the token does not say
	Expiry     time.Time // in UTC
	Token      string    // JWS in compact serialization
	PrivateKey crypto.Signer
	// Stale is as in X509SVID.
	Stale bool
}
