package devapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc"
)

// A Config says what a Server issues. The zero Config is useful: one identity,
// spiffe://example.org/workload, for an hour at a time.
type Config struct {
	// Identities are what every caller is entitled to, in the order of the
	// answers: the first is the default identity (Workload API 5.3).
	Identities []Identity
	// Federated are foreign trust domains whose bundles are handed out too.
	Federated []spiffeid.TrustDomain

	// TTL is the lifetime of X.509-SVIDs and WIT-SVIDs; 0 means an hour. It
	// ends on a full second, as the formats do: the next one.
	TTL time.Duration
	// JWTTTL is the lifetime of JWT-SVIDs; 0 means five minutes.
	JWTTTL time.Duration
	// JWTAlgorithm signs JWT-SVIDs; empty means ES256. Federated trust domains
	// use ES256 in any case.
	JWTAlgorithm JWTAlgorithm
	// Intermediate puts an intermediate authority between leaf and root.
	Intermediate bool
	// CRL hands out a certificate revocation list for each trust domain from
	// the start, not only once something is revoked.
	CRL bool
	// ManualRotation leaves all rotation to Rotate.
	ManualRotation bool

	// SocketMode is the mode of a Unix socket; 0 means 0600.
	SocketMode fs.FileMode
	// Listen opens the listener for an address; nil means unix:///path or
	// tcp://IP:port.
	Listen func(address string) (net.Listener, error)
	// GRPC are further options of the gRPC server. Without any it is as strict
	// as a SPIRE agent's: a client that pings more often than every five
	// minutes is sent away.
	GRPC []grpc.ServerOption
	// Now is the clock that validity is computed with; nil means time.Now. One
	// that is wrong makes a server whose clock is wrong. The schedule of
	// rotations does not depend on it.
	Now func() time.Time
	// Log may be nil.
	Log *slog.Logger
	// Faults, unless nil, make the server misbehave as they are told to.
	Faults *Faults
}

// DefaultID is the identity of a Config that names none.
var DefaultID = spiffeid.RequireFromString("spiffe://example.org/workload")

// An Identity is what one SVID says and how it is made.
type Identity struct {
	ID      spiffeid.ID
	Hint    string        // Workload API 5.3
	DNS     []string      // DNS names of the X.509-SVID
	KeyType KeyType       // of the X.509-SVID
	TTL     time.Duration // 0: the Config's
}

func (i Identity) equal(o Identity) bool {
	return i.ID == o.ID && i.Hint == o.Hint && slices.Equal(i.DNS, o.DNS) &&
		i.KeyType == o.KeyType && i.TTL == o.TTL
}

// KeyType is the type of a leaf's private key.
type KeyType string

// The types of key.
const (
	KeyDefault KeyType = "" // ECP256
	ECP256     KeyType = "ec-p256"
	ECP384     KeyType = "ec-p384"
	RSA2048    KeyType = "rsa-2048"
	Ed25519    KeyType = "ed25519"
)

// Generate makes a new private key.
func (t KeyType) Generate() (crypto.Signer, error) {
	switch t {
	case KeyDefault, ECP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	default:
		return nil, t.Check()
	}
}

// Check says whether there is such a type.
func (t KeyType) Check() error {
	switch t {
	case KeyDefault, ECP256, ECP384, RSA2048, Ed25519:
		return nil
	}
	return fmt.Errorf("unknown key type %q: use %s, %s, %s or %s", string(t), ECP256, ECP384, RSA2048, Ed25519)
}

// JWTAlgorithm is the signature algorithm of JWT-SVIDs (JWT-SVID 2.1).
type JWTAlgorithm string

// The signature algorithms.
const (
	JWTDefault JWTAlgorithm = "" // ES256
	ES256      JWTAlgorithm = "ES256"
	RS256      JWTAlgorithm = "RS256"
)

// Check says whether there is such an algorithm.
func (a JWTAlgorithm) Check() error {
	switch a {
	case JWTDefault, ES256, RS256:
		return nil
	}
	return fmt.Errorf("unknown signature algorithm %q: use %s or %s", string(a), ES256, RS256)
}

func (c Config) withDefaults() Config {
	if len(c.Identities) == 0 {
		c.Identities = []Identity{{ID: DefaultID}}
	}
	if c.TTL <= 0 {
		c.TTL = time.Hour
	}
	if c.JWTTTL <= 0 {
		c.JWTTTL = 5 * time.Minute
	}
	if c.SocketMode == 0 {
		c.SocketMode = 0o600
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Listen == nil {
		mode := c.SocketMode
		c.Listen = func(address string) (net.Listener, error) { return listen(address, mode) }
	}
	return c
}
