package encode

import (
	"io/fs"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/keystore"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/trust"
	"github.com/svidhelper/svidhelper/writer"
)

// An Output is one directory and what belongs in it. What is in it changes
// together.
type Output struct {
	writer.Spec
	// FileMode and KeyMode are the modes of files that have none of their own:
	// of certificates and bundles, 0 is 0644, and of private keys and tokens,
	// 0 is 0600.
	FileMode, KeyMode fs.FileMode

	X509SVIDs   []X509SVID
	JWTSVIDs    []JWTSVID
	WITSVIDs    []WITSVID
	X509Bundles []X509Bundle
	JWTBundles  []JWTBundle
	WITBundles  []WITBundle
	// SPIFFEBundles join what the bundles of all profiles say.
	SPIFFEBundles []SPIFFEBundle `json:",omitempty"`

	// Trust says how new authorities and old ones come and go. Encode shows what the
	// snapshot has; its caller has applied this.
	Trust trust.Policy `json:",omitzero"`

	// Templates are files that a text/template makes of what is in the others.
	Templates []Template `json:",omitempty"`

	// Manifest is a JSON file that lists SPIFFE IDs, serials, validity and
	// files.
	Manifest FileSpec
}

// A FileSpec names one file of an output, relative to its directory. An empty Name
// means that the file is not wanted. Placeholders in the name are filled in, each
// where it means something; a name that an answer makes and no file can have, or
// another file has, is left out by itself.
type FileSpec struct {
	Name string
	// Literal says that no placeholder is meant, whatever is in the name.
	Literal bool `json:",omitempty"`
	// Mode, Owner and Group, unless zero, take precedence over the output's.
	Mode         fs.FileMode
	Owner, Group string
}

// Wanted reports whether the file has a name.
func (f FileSpec) Wanted() bool { return f.Name != "" }

// A Selector picks identities out of an answer. The zero Selector picks the
// first, the default identity.
type Selector struct {
	Hint string      // the first one with this hint
	ID   spiffeid.ID // the first one with this SPIFFE ID
	All  bool        // every one; file names then hold {hint}, {id} or {index}
}

// An X509SVID says which X.509-SVID goes into which files.
type X509SVID struct {
	Select Selector
	// Allow, unless empty, lists patterns; a SPIFFE ID that matches none is
	// refused.
	Allow []string

	Cert     FileSpec // leaf, then intermediates
	Key      FileSpec
	Bundle   FileSpec // X.509 authorities of the SVID's own trust domain
	Combined FileSpec // key, then chain
	CRL      FileSpec
	PKCS12   *Keystore
	JKS      *Keystore
	// Truststore holds the X.509 authorities of the SVID's own trust domain. It has
	// no TrustDomains.
	Truststore *X509Bundle `json:",omitempty"`
	Hints      FileSpec    // which SVID has which hint, as JSON

	KeyEncoding           KeyEncoding
	KeySecret             Secret   // unless zero, encrypts Key and Combined
	Encoding              Encoding // of Cert, Key, Bundle and FederatedFile
	Federated             Federated
	FederatedFile         FileSpec // for FederatedSeparate; its name holds {trust_domain} or {n}
	IntermediatesInBundle bool
	OmitExpired           bool
}

// Encoding is how certificates and keys are written down.
type Encoding string

const (
	EncodingPEM Encoding = ""
	EncodingDER Encoding = "der" // certificates one after the other
)

// KeyEncoding is the form of a private key.
type KeyEncoding string

const (
	KeyPKCS8       KeyEncoding = ""            // PKCS#8 (RFC 5958), "PRIVATE KEY"
	KeyTraditional KeyEncoding = "traditional" // SEC 1 (RFC 5915) or PKCS#1 (RFC 8017)
)

// Federated says what becomes of foreign trust domains' bundles.
type Federated string

const (
	FederatedNone     Federated = ""         // not written
	FederatedMerge    Federated = "merge"    // appended to the bundle file, in trust domain order
	FederatedSeparate Federated = "separate" // a file each
)

// A Secret is a password. The zero Secret is none.
type Secret struct {
	Password     string `json:",omitempty"` // in the configuration; PasswordFile is better
	PasswordFile string `json:",omitempty"` // read at each publish, one trailing newline dropped
}

// A Keystore is one container with key, chain and bundle.
type Keystore struct {
	File FileSpec
	Secret
	Alias      string              // empty: the SPIFFE ID
	Encryption keystore.Encryption `json:",omitempty"` // of PKCS#12
	// Root says that the chain goes up to the authority that has signed it.
	Root bool `json:",omitempty"`
}

// A JWTSVID says which JWT-SVID goes into which file: the bare token, no
// newline.
type JWTSVID struct {
	Audience []string
	ID       spiffeid.ID // zero: any
	Hint     string
	File     FileSpec
}

// Request returns what to ask the Workload API for.
func (j JWTSVID) Request() snapshot.JWTRequest {
	return snapshot.NewJWTRequest(j.Audience, j.ID, j.Hint)
}

// A WITSVID says which WIT-SVID goes into which files.
type WITSVID struct {
	Select Selector
	Token  FileSpec
	Key    FileSpec // the bound private key
}

// An X509Bundle writes X.509 bundles that need no identity: in one file, or in one
// for each trust domain when the name holds {trust_domain}. So do a JWTBundle, a
// WITBundle and a SPIFFEBundle.
type X509Bundle struct {
	TrustDomains []spiffeid.TrustDomain // empty: all
	File         FileSpec
	Format       BundleFormat
	Secret                           // of FormatPKCS12 and FormatJKS
	Encryption   keystore.Encryption `json:",omitempty"` // of FormatPKCS12
}

// A JWTBundle writes JWT bundles.
type JWTBundle struct {
	TrustDomains []spiffeid.TrustDomain // empty: all
	File         FileSpec
	Format       BundleFormat
}

// A WITBundle writes WIT bundles.
type WITBundle struct {
	TrustDomains []spiffeid.TrustDomain // empty: all
	File         FileSpec
	Format       BundleFormat
}

// A SPIFFEBundle writes SPIFFE bundles (SPIFFE Trust Domain and Bundle 4 and 5): the
// authorities of all profiles of a trust domain in one document, which says by a
// sequence number that it is newer than the one before.
type SPIFFEBundle struct {
	TrustDomains []spiffeid.TrustDomain // empty: all
	File         FileSpec
	// Format is FormatDefault for a document of one trust domain, or FormatMap for a
	// map of all of them.
	Format BundleFormat
	// Authorities are of the profiles that are wanted. Unless set, they are X.509 and
	// JWT in a document; in a map X.509 alone, since gRPC passes over a trust domain
	// that has others (gRPC proposal A87).
	Authorities []Authority
	// RefreshHint says how often a document is to be fetched; 0 is
	// DefaultRefreshHint. A map has none (5.1.1).
	RefreshHint time.Duration
}

// DefaultRefreshHint is what the standard recommends (SPIFFE Federation 4.1).
const DefaultRefreshHint = 5 * time.Minute

// An Authority is a profile that has authorities.
type Authority string

// The authorities.
const (
	AuthorityX509 Authority = "x509"
	AuthorityJWT  Authority = "jwt"
	AuthorityWIT  Authority = "wit"
)

// Has reports whether the bundle holds the authorities of a profile.
func (b *SPIFFEBundle) Has(a Authority) bool {
	if len(b.Authorities) > 0 {
		return slices.Contains(b.Authorities, a)
	}
	return a == AuthorityX509 || a == AuthorityJWT && b.Format != FormatMap
}

// BundleFormat is the form of a bundle file. X.509 bundles are written in all but
// FormatMap and FormatJWKS, JWT and WIT bundles in FormatMap, FormatJWKS and
// FormatSPIFFE.
type BundleFormat string

const (
	// FormatDefault is FormatPEM for X.509 and FormatMap for JWT and WIT.
	FormatDefault BundleFormat = ""
	// FormatPEM is the authorities, trust domain by trust domain; so is FormatDER.
	FormatPEM BundleFormat = "pem"
	FormatDER BundleFormat = "der"
	// FormatPKCS12 and FormatJKS are trust stores.
	FormatPKCS12 BundleFormat = "pkcs12"
	FormatJKS    BundleFormat = "jks"
	// FormatMap is one JSON object: trust domain name to the base64 of its
	// JWKS, as spiffe-helper writes it.
	FormatMap BundleFormat = "map"
	// FormatJWKS is a JWKS document with the keys of all trust domains.
	FormatJWKS BundleFormat = "jwks"
	// FormatSPIFFE is a SPIFFE bundle (SPIFFE Trust Domain and Bundle 4): one
	// JWKS document; it needs exactly one trust domain.
	FormatSPIFFE BundleFormat = "spiffe"
)
