// Package keystore writes containers of private keys and certificates: PKCS#12 (RFC
// 7292), the Java KeyStore, and encrypted PKCS#8 (RFC 5958).
//
// What is written depends on what goes in and on nothing else: salts and
// initialization vectors come from the caller. It reads no file and no clock.
//
// It writes PKCS#12 by itself because the library that reads such files can write
// neither an alias for a key nor salts that are the caller's.
package keystore

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"
)

// Contents are what a keystore holds: a key with its chain, and certificates that
// its user is to trust. Either can be missing.
type Contents struct {
	Key     crypto.Signer       // nil: none
	Alias   string              // of the key
	Chain   []*x509.Certificate // leaf first
	Trusted []Trusted
}

// check refuses two entries of one alias, which Java takes for one.
func (c Contents) check() error {
	for _, t := range c.Trusted {
		if c.Key != nil && strings.EqualFold(t.Alias, c.Alias) {
			return fmt.Errorf("the alias %q of the private key is that of an authority too: choose another one", c.Alias)
		}
	}
	return nil
}

// A Trusted is a certificate that the keystore's user is to trust.
type Trusted struct {
	Alias string
	Cert  *x509.Certificate
}

// An Encryption says how PKCS#12 protects what is in it.
type Encryption string

const (
	// Modern is PBES2 of PBKDF2, HMAC-SHA-256 and AES-256-CBC, and a MAC of
	// HMAC-SHA-256, as OpenSSL 3 and Java use by default.
	Modern Encryption = ""
	// Legacy is triple DES, and a MAC of HMAC-SHA-1: what Java before 8u301, Windows
	// before Server 2019 and OpenSSL 1.0 read.
	Legacy Encryption = "legacy"
	// None is no encryption and no MAC, and so no password: the file's mode is all
	// that protects the key.
	None Encryption = "none"
)
