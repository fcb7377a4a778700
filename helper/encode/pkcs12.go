package encode

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"unicode/utf16"
)

// This file writes PKCS#12 (RFC 7292) with the algorithms that OpenSSL 3 and
// Java use by default: PBES2 of PBKDF2, HMAC-SHA-256 and AES-256-CBC, and a MAC
// of HMAC-SHA-256. It is our own because the library that reads such files can
// write neither an alias nor the attribute by which Java takes a certificate for
// a trusted one.

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}

	oidShroudedKeyBag  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509Certificate = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}

	oidFriendlyName   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}
	oidLocalKeyID     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 21}
	oidJavaTrust      = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1}
	oidAnyExtendedUse = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidSHA256         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

const (
	pkcs12Version = 3
	// pkcs12Iterations are as few as OpenSSL makes: the file's mode is what
	// protects the key.
	pkcs12Iterations = 2048
	pkcs12SaltLen    = 16
)

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

type pbes2Params struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	PRF        pkix.AlgorithmIdentifier
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
	Mac      macData
}

// A pkcs12Writer encodes one keystore. The first error stays.
type pkcs12Writer struct {
	password string
	salts    io.Reader
	err      error
}

// A trusted is a certificate that the keystore's user is to trust.
type trusted struct {
	alias string
	cert  *x509.Certificate
}

// encode writes the key and its chain, leaf first, under an alias, and trusted
// certificates under theirs.
func (w *pkcs12Writer) encode(key any, chain []*x509.Certificate, alias string, authorities []trusted) ([]byte, error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	id := sha1.Sum(chain[0].Raw) // by which every reader ties the two together
	own := []bagAttribute{
		{oidFriendlyName, []asn1.RawValue{bmpString(alias)}},
		{oidLocalKeyID, []asn1.RawValue{w.raw(w.marshal(id[:]))}},
	}
	var certs []safeBag
	for i, c := range chain {
		bag := w.certBag(c)
		if i == 0 {
			bag.Attributes = own
		}
		certs = append(certs, bag)
	}
	for _, a := range authorities {
		bag := w.certBag(a.cert)
		bag.Attributes = []bagAttribute{
			{oidFriendlyName, []asn1.RawValue{bmpString(a.alias)}},
			{oidJavaTrust, []asn1.RawValue{w.raw(w.marshal(oidAnyExtendedUse))}},
		}
		certs = append(certs, bag)
	}
	var shrouded encryptedKey
	shrouded.Algorithm, shrouded.Data = w.encrypt(keyDER)
	keyBag := safeBag{oidShroudedKeyBag, explicit(w.marshal(shrouded)), own}

	var sealed encryptedData
	sealed.Content.Type = oidData
	sealed.Content.Algorithm, sealed.Content.Data = w.encrypt(w.marshal(certs))
	safe := w.marshal([]contentInfo{
		{oidEncryptedData, explicit(w.marshal(sealed))},
		{oidData, explicit(w.marshal(w.marshal([]safeBag{keyBag})))},
	})
	out := w.marshal(pfx{pkcs12Version, contentInfo{oidData, explicit(w.marshal(safe))}, w.mac(safe)})
	if w.err != nil {
		return nil, fmt.Errorf("encoding the PKCS#12 keystore: %w", w.err)
	}
	return out, nil
}

func (w *pkcs12Writer) certBag(c *x509.Certificate) safeBag {
	return safeBag{ID: oidCertBag, Value: explicit(w.marshal(certBag{oidX509Certificate, c.Raw}))}
}

// encrypt is PBES2 (RFC 8018 6.2).
func (w *pkcs12Writer) encrypt(plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	salt, iv := w.salt(pkcs12SaltLen), w.salt(aes.BlockSize)
	key, err := pbkdf2.Key(sha256.New, w.password, salt, pkcs12Iterations, 32)
	w.fail(err)
	if w.err != nil {
		return pkix.AlgorithmIdentifier{}, nil
	}
	block, err := aes.NewCipher(key)
	w.fail(err)
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	padded := append([]byte(nil), plain...)
	for range padding {
		padded = append(padded, byte(padding))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	params := pbes2Params{
		KDF: w.algorithm(oidPBKDF2, pbkdf2Params{
			salt, pkcs12Iterations, pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue},
		}),
		Cipher: w.algorithm(oidAES256CBC, iv),
	}
	return w.algorithm(oidPBES2, params), padded
}

// mac authenticates the content. Its key is derived as RFC 7292 B.2 says, which
// for a key of one hash is a single block.
func (w *pkcs12Writer) mac(content []byte) (m macData) {
	const blockSize, purpose = sha256.BlockSize, 3
	m.Salt, m.Iterations = w.salt(pkcs12SaltLen), pkcs12Iterations
	m.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}
	input := make([]byte, blockSize)
	for i := range input {
		input[i] = purpose
	}
	input = append(input, repeat(m.Salt, blockSize)...)
	input = append(input, repeat(append(bmp(w.password), 0, 0), blockSize)...)
	key := sha256.Sum256(input)
	for range m.Iterations - 1 {
		key = sha256.Sum256(key[:])
	}
	h := hmac.New(sha256.New, key[:])
	h.Write(content)
	m.Digest.Digest = h.Sum(nil)
	return m
}

// repeat repeats bytes until they fill whole blocks.
func repeat(b []byte, blockSize int) []byte {
	out := make([]byte, (len(b)+blockSize-1)/blockSize*blockSize)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

func (w *pkcs12Writer) salt(n int) []byte {
	salt := make([]byte, n)
	_, err := io.ReadFull(w.salts, salt)
	w.fail(err)
	return salt
}

func (w *pkcs12Writer) algorithm(id asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: id, Parameters: w.raw(w.marshal(params))}
}

func (w *pkcs12Writer) marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	w.fail(err)
	return der
}

func (w *pkcs12Writer) raw(der []byte) asn1.RawValue { return asn1.RawValue{FullBytes: der} }

func (w *pkcs12Writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// explicit wraps DER in an explicit tag 0.
func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}

// bmpString is a string in the Basic Multilingual Plane, big-endian.
func bmpString(s string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagBMPString, Bytes: bmp(s)}
}

func bmp(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
