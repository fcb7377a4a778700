package keystore

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
)

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}

	oidKeyBag          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedKeyBag  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509Certificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}

	oidFriendlyName   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
	oidJavaTrust      = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}
	oidAnyExtendedUse = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

const pkcs12Version = 3

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue
}

type safeBag struct {
	ID         asn1.ObjectIdentifier
	Value      asn1.RawValue
	Attributes []bagAttribute `asn1:"set,omitempty"`
}

type bagAttribute struct {
	ID     asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

type certBag struct {
	ID   asn1.ObjectIdentifier
	Data []byte `asn1:"tag:0,explicit"`
}

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type encryptedData struct {
	Version int
	Content struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0"`
	}
}

type macData struct {
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	Salt       []byte
	Iterations int
}

type pfx struct {
	Version  int
	AuthSafe contentInfo
	Mac      macData `asn1:"optional"`
}

// A pkcs12Writer encodes one keystore.
type pkcs12Writer struct {
	encrypter
	encryption Encryption
}

// PKCS12 encodes contents. It takes about a hundred bytes of salts.
func PKCS12(c Contents, password string, e Encryption, salts io.Reader) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := pkcs12Writer{encrypter{password: password, salts: salts}, e}
	certs := w.trusted(c.Trusted)
	var safes []contentInfo
	if c.Key != nil {
		key, err := x509.MarshalPKCS8PrivateKey(c.Key)
		if err != nil {
			return nil, fmt.Errorf("encoding the private key: %w", err)
		}
		own := w.own(c)
		certs = append(w.chain(c.Chain, own), certs...)
		bag := w.keyBag(key)
		bag.Attributes = own
		safes = []contentInfo{w.seal(certs), {oidData, explicit(w.marshal(w.marshal([]safeBag{bag})))}}
	} else {
		safes = []contentInfo{w.seal(certs)}
	}
	content := w.marshal(safes)
	out := w.marshal(pfx{pkcs12Version, contentInfo{oidData, explicit(w.marshal(content))}, w.authenticate(content)})
	if w.err != nil {
		return nil, fmt.Errorf("encoding the PKCS#12 keystore: %w", w.err)
	}
	return out, nil
}

// own are the attributes of the key and its leaf, by which every reader ties the
// two together.
func (w *pkcs12Writer) own(c Contents) []bagAttribute {
	id := sha1.Sum(c.Chain[0].Raw)
	return []bagAttribute{
		{oidFriendlyName, []asn1.RawValue{bmpString(c.Alias)}},
		{oidLocalKeyID, []asn1.RawValue{w.raw(w.marshal(id[:]))}},
	}
}

func (w *pkcs12Writer) chain(chain []*x509.Certificate, own []bagAttribute) []safeBag {
	var bags []safeBag
	for i, c := range chain {
		bag := w.certBag(c)
		if i == 0 {
			bag.Attributes = own
		}
		bags = append(bags, bag)
	}
	return bags
}

func (w *pkcs12Writer) trusted(all []Trusted) []safeBag {
	var bags []safeBag
	for _, t := range all {
		bag := w.certBag(t.Cert)
		bag.Attributes = []bagAttribute{
			{oidFriendlyName, []asn1.RawValue{bmpString(t.Alias)}},
			{oidJavaTrust, []asn1.RawValue{w.raw(w.marshal(oidAnyExtendedUse))}},
		}
		bags = append(bags, bag)
	}
	return bags
}

func (w *pkcs12Writer) certBag(c *x509.Certificate) safeBag {
	return safeBag{ID: oidCertBag, Value: explicit(w.marshal(certBag{oidX509Certificate, c.Raw}))}
}

func (w *pkcs12Writer) keyBag(key []byte) safeBag {
	if w.encryption == None {
		return safeBag{ID: oidKeyBag, Value: explicit(key)}
	}
	var shrouded encryptedKey
	shrouded.Algorithm, shrouded.Data = w.encrypt(key)
	return safeBag{ID: oidShroudedKeyBag, Value: explicit(w.marshal(shrouded))}
}

// seal encrypts the certificates.
func (w *pkcs12Writer) seal(certs []safeBag) contentInfo {
	plain := w.marshal(certs)
	if w.encryption == None {
		return contentInfo{oidData, explicit(w.marshal(plain))}
	}
	var sealed encryptedData
	sealed.Content.Type = oidData
	sealed.Content.Algorithm, sealed.Content.Data = w.encrypt(plain)
	return contentInfo{oidEncryptedData, explicit(w.marshal(sealed))}
}

func (w *pkcs12Writer) encrypt(plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	if w.encryption == Legacy {
		return w.legacy(plain)
	}
	return w.modern(plain)
}

func (w *pkcs12Writer) authenticate(content []byte) macData {
	switch w.encryption {
	case None:
		return macData{}
	case Legacy:
		return w.mac(content, oidSHA1, sha1.New, legacySaltLen)
	}
	return w.mac(content, oidSHA256, sha256.New, saltLen)
}

// explicit wraps DER in an explicit tag 0.
func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// bmpString is a string in the Basic Multilingual Plane, big-endian.
func bmpString(s string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagBMPString, Bytes: bmp(s)}
}
