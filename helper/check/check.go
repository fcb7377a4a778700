package check

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"io/fs"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// Kind is what a file holds.
type Kind string

// The kinds.
const (
	X509SVID     Kind = "X.509-SVID"
	JWTSVID      Kind = "JWT-SVID"
	WITSVID      Kind = "WIT-SVID"
	PrivateKey   Kind = "private key"
	X509Bundle   Kind = "X.509 bundle"
	CRL          Kind = "revocation list"
	Keystore     Kind = "keystore"
	JWKS         Kind = "JWKS"
	SPIFFEBundle Kind = "SPIFFE bundle"
	BundleMap    Kind = "bundle map"
	Manifest     Kind = "manifest"
	Hints        Kind = "hints"
	Companion    Kind = "companion file" // what a template makes, whatever it is
	Unknown      Kind = "unknown"
)

// A File is one file to check.
type File struct {
	Path string // as it is shown
	Data []byte
	Err  error       // why there is no Data
	Mode fs.FileMode // permissions; 0 means unknown
	Want Want
}

// A Want is what is known of a file beforehand. The zero Want leaves everything to
// be found out from the content.
type Want struct {
	Kind       Kind        // empty: any
	Mode       fs.FileMode // permissions that are configured; 0: none
	ID         spiffeid.ID // zero: any
	Audience   []string    // all of them are needed
	Password   *string     // of a keystore or a private key; nil: unknown
	Incidental bool        // a file that is of no kind is passed over
	Secret     bool        // a companion file can hold a key or a token
}

// A Set is files that belong together: a private key is looked for, and a bundle
// first, among the files of the same set.
type Set []File

// Options say how to check.
type Options struct {
	Now time.Time
	// MinRemaining is how long an SVID has to be valid from now on.
	MinRemaining time.Duration
	// Audience is one that each JWT-SVID needs; empty: none in particular.
	Audience string
	// Bundle, unless nil, is what all SVIDs are verified against.
	Bundle *File
	// Validate, unless nil, asks an agent whether it accepts a JWT-SVID for an
	// audience.
	Validate func(token, audience string) error
}

// A checker checks all files of one call.
type checker struct {
	Options
	all       []*material // of all sets
	impatient bool        // a keystore takes too long, and goes on taking it
}

// A material is what one file turned out to hold.
type material struct {
	file  *File
	item  *Item
	certs []*x509.Certificate // an SVID's chain, leaf first
	key   crypto.Signer       // nil: none
	// sealed says that there is a private key that could not be opened.
	sealed bool
	token  *token
	crls   []*x509.RevocationList
	hints  []hint
	trust  []trust
}

// A trust is what SVIDs are verified against.
type trust struct {
	path        string
	trustDomain spiffeid.TrustDomain // zero: the file does not say
	x509        []*x509.Certificate
	jwt, wit    map[string]crypto.PublicKey
}

// Check checks files, and says of each what it is and what is wrong with it.
func Check(sets []Set, o Options) *Report {
	c := &checker{Options: o}
	opened := make([][]*material, len(sets))
	for i, set := range sets {
		for j := range set {
			if m := c.open(&set[j]); m != nil {
				opened[i] = append(opened[i], m)
			}
		}
		c.all = append(c.all, opened[i]...)
	}
	var given []trust
	if o.Bundle != nil {
		m := c.open(o.Bundle)
		c.all = append(c.all, m)
		if given = m.trust; len(given) == 0 {
			if o.Bundle.Err == nil {
				m.item.problem("", "this holds no bundle, and so verifies nothing")
			}
			given = []trust{{path: o.Bundle.Path}}
		}
	}
	for _, set := range opened {
		trusts := given
		if trusts == nil {
			trusts = trustsOf(set)
		}
		if trusts == nil {
			trusts = trustsOf(c.all)
		}
		f := familyOf(set)
		for _, m := range set {
			c.together(m, f, trusts)
			c.hinted(m, set)
		}
	}
	return report(c.all, o)
}

func trustsOf(all []*material) (trusts []trust) {
	for _, m := range all {
		trusts = append(trusts, m.trust...)
	}
	return trusts
}

// open finds out what a file holds and checks what it says by itself. It returns
// nil for a file that there is nothing to say about.
func (c *checker) open(f *File) *material {
	m := &material{file: f, item: &Item{File: f.Path, Kind: f.Want.Kind}}
	if f.Err != nil {
		if m.item.Kind == "" {
			m.item.Kind = Unknown
		}
		m.item.problem("", "%v", f.Err)
		return m
	}
	switch {
	case f.Want.Kind != Companion:
		c.read(m)
	case len(f.Data) == 0:
		m.item.problem("", "it is empty")
	default:
		m.item.ok("", "made by a template")
	}
	if m.item.Kind == Unknown && f.Want.Incidental {
		return nil
	}
	if f.Want.Kind != "" && !fits(f.Want.Kind, m.item.Kind) {
		m.item.problem("", "the configuration says that this is %s", article(f.Want.Kind))
	}
	c.mode(m)
	return m
}

// fits reports whether a file that is to hold one kind may turn out as another.
func fits(want, got Kind) bool {
	switch want {
	case X509Bundle:
		return got == X509Bundle || got == SPIFFEBundle || got == Keystore
	case SPIFFEBundle:
		return got == SPIFFEBundle || got == BundleMap
	case JWKS:
		return got == JWKS || got == SPIFFEBundle || got == BundleMap
	}
	return want == got
}

func article(k Kind) string {
	if k == X509SVID || k == X509Bundle {
		return "an " + string(k)
	}
	return "a " + string(k)
}

// together checks what only shows beside other files: the pair, the chain and
// the signature.
func (c *checker) together(m *material, f family, trusts []trust) {
	switch {
	case len(m.certs) > 0:
		c.pair(m, f)
		c.chain(m, trusts)
		c.revoked(m)
	case m.token != nil && m.token.signed != nil:
		c.signature(m, trusts)
		if m.item.Kind == JWTSVID {
			c.ask(m)
		} else {
			c.boundPair(m, f)
		}
	case m.item.Kind == PrivateKey && m.key != nil:
		c.owned(m, f)
	case len(m.crls) > 0:
		c.crlSignature(m, trusts)
	}
}

// mode checks who may use a private file. A token of a WIT-SVID is of no use
// without its key, so that it is none.
func (c *checker) mode(m *material) {
	f := m.file
	secret, section := "", "SPIFFE-ID 3.2"
	switch {
	case m.item.Kind == Keystore:
		secret = "keystore"
	case m.key != nil || m.sealed:
		secret = "private key"
	case m.item.Kind == JWTSVID:
		secret, section = "token", "JWT-SVID 7.1"
	case f.Want.Secret:
		secret = "key or token in it"
	}
	if secret == "" || f.Mode == 0 {
		return
	}
	more := f.Mode.Perm() &^ f.Want.Mode.Perm()
	switch {
	case f.Want.Mode != 0 && more != 0:
		m.item.problem(section, "mode %04o lets others at the %s than the configured %04o does", f.Mode.Perm(), secret, f.Want.Mode.Perm())
	case f.Mode&0o007 != 0:
		m.item.warn(section, "mode %04o: every user can use the %s; 0600 or 0640 is enough", f.Mode.Perm(), secret)
	default:
		m.item.ok(section, "mode %04o: the %s is its owner's and group's alone", f.Mode.Perm(), secret)
	}
}

// times checks from when and until when something is valid.
func (c *checker) times(i *Item, section string, from, until time.Time) {
	left := until.Sub(c.Now).Truncate(time.Second)
	i.remaining(from, until, left)
	span := "valid until " + stamp(until)
	if !from.IsZero() {
		span = fmt.Sprintf("valid from %s to %s", stamp(from), stamp(until))
	}
	switch {
	case !until.After(c.Now):
		i.problem(section, "expired at %s, %s ago", stamp(until), -left)
	case !from.IsZero() && from.After(c.Now):
		i.problem(section, "%s: not yet; compare the clocks", span)
	case left < c.MinRemaining:
		i.problem(section, "%s, %s left: less than the %s that are asked for", span, left, c.MinRemaining)
	default:
		i.ok(section, "%s, %s left", span, left)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
