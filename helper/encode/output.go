package encode

import (
	"io/fs"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
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

	// Trust says how new authorities and old ones come and go. Encode shows what the
	// snapshot has; its caller has applied this.
	Trust trust.Policy `json:",omitzero"`

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

	KeyEncoding           KeyEncoding
	Federated             Federated
	FederatedFile         FileSpec // for FederatedSeparate; its name holds {trust_domain} or {n}
	IntermediatesInBundle bool
	OmitExpired           bool
}

// KeyEncoding is the form of a private key in PEM.
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

// A Keystore is one encrypted container with key, chain and bundle.
type Keystore struct {
	File         FileSpec
	Password     string // in the configuration; PasswordFile is better
	PasswordFile string // read at each publish, one trailing newline dropped
	Alias        string // empty: the SPIFFE ID
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
// for each trust domain when the name holds {trust_domain}. So do a JWTBundle and a
// WITBundle.
type X509Bundle struct {
	TrustDomains []spiffeid.TrustDomain // empty: all
	File         FileSpec
	Format       BundleFormat
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

// BundleFormat is the form of a bundle file. X.509 bundles are written in
// FormatPEM and FormatSPIFFE, JWT and WIT bundles in all but FormatPEM.
type BundleFormat string

const (
	// FormatDefault is FormatPEM for X.509 and FormatMap for JWT and WIT.
	FormatDefault BundleFormat = ""
	// FormatPEM is the authorities, trust domain by trust domain.
	FormatPEM BundleFormat = "pem"
	// FormatMap is one JSON object: trust domain name to the base64 of its
	// JWKS, as spiffe-helper writes it.
	FormatMap BundleFormat = "map"
	// FormatJWKS is a JWKS document with the keys of all trust domains.
	FormatJWKS BundleFormat = "jwks"
	// FormatSPIFFE is a SPIFFE bundle (SPIFFE Trust Domain and Bundle 4): one
	// JWKS document; it needs exactly one trust domain.
	FormatSPIFFE BundleFormat = "spiffe"
)
