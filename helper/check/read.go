package check

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/svidhelper/svidhelper/helper/unseal"
)

// maxBlocks is how many certificates, keys and lists of one file are read.
const maxBlocks = 4096

// read finds out from a file's content what it is, and checks what it says by
// itself.
func (c *checker) read(m *material) {
	data := m.file.Data
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		c.unknown(m, "it is empty")
	case bytes.Contains(data, []byte("-----BEGIN ")):
		c.pem(m, data)
	case unseal.IsJKS(data), unseal.IsJCEKS(data), unseal.IsPKCS12(data):
		m.item.Kind = Keystore
		c.keystore(m)
	case text[0] == '{':
		c.json(m, text)
	case looksLikeToken(string(text)):
		c.readToken(m, string(data))
	case m.file.Want.Kind == JWTSVID || m.file.Want.Kind == WITSVID:
		m.item.Kind = m.file.Want.Kind
		m.item.problem(profiles[m.file.Want.Kind].serialization, "this is no JWS in compact serialization")
	default:
		c.der(m, data)
	}
}

// unknown says that a file is of no kind that we know.
func (c *checker) unknown(m *material, why string) {
	m.item.Kind = Unknown
	m.item.problem("", "%s: it should be a certificate, a key, a token, a bundle or a keystore", why)
}

// pem reads certificates, a private key and revocation lists (RFC 7468).
func (c *checker) pem(m *material, rest []byte) {
	var certs []*x509.Certificate
	blocks := 0
	for block, after := pem.Decode(rest); block != nil; block, after = pem.Decode(after) {
		if blocks++; blocks > maxBlocks {
			m.item.problem("", "more than %d PEM blocks", maxBlocks)
			break
		}
		rest = after
		switch {
		case block.Type == "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				m.item.problem("RFC 5280 4.1", "certificate %d does not parse: %v", len(certs)+1, err)
				continue
			}
			certs = append(certs, cert)
		case block.Type == "X509 CRL":
			crl, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				m.item.problem("RFC 5280 5.1", "a revocation list does not parse: %v", err)
				continue
			}
			m.crls = append(m.crls, crl)
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			c.key(m, block)
		}
	}
	if bytes.Contains(rest, []byte("-----BEGIN ")) {
		m.item.problem("RFC 7468 2", "a PEM block is damaged or cut short")
	}
	c.sort(m, certs)
}

// key reads a private key. What a parser says of one is not for anybody's eyes.
func (c *checker) key(m *material, block *pem.Block) {
	if m.key != nil {
		m.item.warn("RFC 7468 10", "more than one private key: the first counts")
		return
	}
	section, parse, der := "RFC 5958 2", func(der []byte) (any, error) { return x509.ParsePKCS8PrivateKey(der) }, block.Bytes
	switch block.Type {
	case "RSA PRIVATE KEY":
		section, parse = "RFC 8017 A.1.2", func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) }
	case "EC PRIVATE KEY":
		section, parse = "RFC 5915 3", func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) }
	case "ENCRYPTED PRIVATE KEY":
		if der = c.encryptedKey(m, der); der == nil {
			m.sealed = true
			return
		}
	}
	if len(der) > unseal.MaxKey {
		m.item.problem(section, "a private key of %d bytes: %d is the most", len(der), unseal.MaxKey)
		return
	}
	key, err := parse(der)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		m.item.problem(section, "the private key does not parse")
		return
	}
	m.key = signer
	m.item.ok(section, "private key, %s", publicKey(signer.Public()))
}

// sort decides what certificates, keys and lists of one file are together.
func (c *checker) sort(m *material, certs []*x509.Certificate) {
	switch {
	case len(certs) > 0 && c.isSVID(m, certs[0]):
		m.item.Kind, m.certs = X509SVID, certs
		c.x509SVID(m)
	case len(certs) > 0:
		m.item.Kind = X509Bundle
		c.x509Bundle(m, certs)
	case m.key != nil || m.sealed:
		m.item.Kind = PrivateKey
	case len(m.crls) > 0:
		m.item.Kind = CRL
		c.crl(m)
	case m.item.Kind == "" && len(m.item.Findings) == 0:
		c.unknown(m, "there is nothing in its PEM that belongs to SPIFFE")
	case m.item.Kind == "":
		m.item.Kind = Unknown
	default: // as configured
		if m.item.worst() == OK {
			m.item.problem("RFC 7468 2", "there is none in its PEM")
		}
	}
}

// isSVID reports whether a file's first certificate is a leaf, or means to be one.
func (c *checker) isSVID(m *material, first *x509.Certificate) bool {
	switch m.file.Want.Kind {
	case X509SVID:
		return true
	case X509Bundle:
		return false
	}
	for _, u := range first.URIs {
		if isSPIFFE(u) && strings.Trim(u.Path, "/") != "" {
			return true
		}
	}
	return m.key != nil || !first.IsCA && first.KeyUsage&x509.KeyUsageCertSign == 0
}

// der reads what some tools write instead of PEM.
func (c *checker) der(m *material, data []byte) {
	if certs, err := x509.ParseCertificates(data); err == nil && len(certs) > 0 && len(certs) <= maxBlocks {
		c.sort(m, certs)
		return
	}
	if label := keyLabel(data); label != "" {
		c.key(m, &pem.Block{Type: label, Bytes: data})
		c.sort(m, nil)
		return
	}
	if crl, err := x509.ParseRevocationList(data); err == nil {
		m.item.Kind, m.crls = CRL, []*x509.RevocationList{crl}
		c.crl(m)
		return
	}
	c.unknown(m, "its content is of no kind that is known here")
}

// keyLabel is what PEM would call a private key in DER; empty if it is none.
func keyLabel(der []byte) string {
	if unseal.IsEncryptedKey(der) {
		return "ENCRYPTED PRIVATE KEY"
	}
	if len(der) > unseal.MaxKey {
		return ""
	}
	if _, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return "PRIVATE KEY"
	}
	if _, err := x509.ParseECPrivateKey(der); err == nil {
		return "EC PRIVATE KEY"
	}
	if _, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return "RSA PRIVATE KEY"
	}
	return ""
}

// json reads a JSON object.
func (c *checker) json(m *material, text []byte) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		if m.item.Kind == "" {
			m.item.Kind = Unknown
		}
		m.item.problem("RFC 8259 2", "it begins as JSON and does not parse: it may be cut short")
		return
	}
	has := func(name string) bool { _, ok := members[name]; return ok }
	switch {
	case has("trust_domains"):
		c.spiffeBundleMap(m, members["trust_domains"])
	case has("keys"):
		c.jwks(m, text)
	case has("kty"):
		c.jwk(m, text)
	case has("payload") || has("signatures") || has("ciphertext"):
		m.item.Kind = JWTSVID
		m.item.problem("JWT-SVID 5.1", "a token in JSON serialization: only the compact one is allowed")
	case has("hints") && (m.file.Want.Kind == "" || m.file.Want.Kind == Hints):
		c.hints(m, members["hints"])
	case has("identities") && has("files") && (m.file.Want.Kind == "" || m.file.Want.Kind == Manifest):
		m.item.Kind = Manifest
		m.item.ok("", "what svidhelper has published, as JSON")
	case m.file.Want.Kind == JWKS || allStrings(members):
		c.bundleMap(m, members)
	default:
		c.unknown(m, "JSON of no kind that is known here")
	}
}

// allStrings reports whether an object has members, and all are strings.
func allStrings(members map[string]json.RawMessage) bool {
	for _, v := range members {
		if v[0] != '"' {
			return false
		}
	}
	return len(members) > 0
}

// jwk reads one key: the private key that a WIT-SVID is bound to.
func (c *checker) jwk(m *material, text []byte) {
	m.item.Kind = PrivateKey
	var jwk jose.JSONWebKey
	if len(text) > unseal.MaxKey || jwk.UnmarshalJSON(text) != nil || !jwk.Valid() {
		m.item.problem("RFC 7517 4", "the JWK does not parse, or is longer than %d bytes", unseal.MaxKey)
		return
	}
	signer, ok := jwk.Key.(crypto.Signer)
	if jwk.IsPublic() || !ok || !halvesAgree(signer) {
		m.item.problem("RFC 7517 4", "this JWK holds no private key, or a public one that is not its own")
		return
	}
	m.key = signer
	m.item.ok("RFC 7517 4", "private key, %s", publicKey(signer.Public()))
}

// halvesAgree reports whether the public half of a key is that of the private one.
// A JWK has both, and nothing makes them agree; PKCS#8 has the private one alone.
func halvesAgree(key crypto.Signer) bool {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return false
	}
	again, err := x509.ParsePKCS8PrivateKey(der)
	signer, ok := again.(crypto.Signer)
	return err == nil && ok && samePublic(signer.Public(), key.Public())
}
