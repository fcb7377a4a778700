package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"hash"
	"io"
	"math/big"
	"unicode/utf16"
)

var (
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
	oidSHA1With3DES   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	oidSHA1           = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256         = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
)

const (
	// iterations are as few as OpenSSL makes: the file's mode is what protects the
	// key.
	iterations    = 2048
	saltLen       = 16
	legacySaltLen = 8
	aesKeyLen     = 32
	desKeyLen     = 24
)

// What a derived key is for (RFC 7292 B.3).
const (
	forEncryption = 1
	forIV         = 2
	forMAC        = 3
)

type pbes2Params struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	PRF        pkix.AlgorithmIdentifier
}

type pbeParams struct {
	Salt       []byte
	Iterations int
}

// An encrypter marshals and encrypts. The first error stays.
type encrypter struct {
	password string
	salts    io.Reader
	err      error
}

// modern is PBES2 (RFC 8018 6.2).
func (w *encrypter) modern(plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	salt, iv := w.salt(saltLen), w.salt(aes.BlockSize)
	key, err := pbkdf2.Key(sha256.New, w.password, salt, iterations, aesKeyLen)
	w.fail(err)
	if w.err != nil {
		return pkix.AlgorithmIdentifier{}, nil
	}
	block, err := aes.NewCipher(key)
	w.fail(err)
	params := pbes2Params{
		KDF: w.algorithm(oidPBKDF2, pbkdf2Params{
			salt, iterations, pkix.AlgorithmIdentifier{Algorithm: oidHMACWithSHA256, Parameters: asn1.NullRawValue},
		}),
		Cipher: w.algorithm(oidAES256CBC, iv),
	}
	return w.algorithm(oidPBES2, params), encryptCBC(block, iv, plain)
}

// legacy is triple DES with a key of SHA-1 (RFC 7292 C).
func (w *encrypter) legacy(plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	salt := w.salt(legacySaltLen)
	key := derive(sha1.New, w.password, salt, forEncryption, desKeyLen)
	iv := derive(sha1.New, w.password, salt, forIV, des.BlockSize)
	block, err := des.NewTripleDESCipher(key)
	w.fail(err)
	if w.err != nil {
		return pkix.AlgorithmIdentifier{}, nil
	}
	return w.algorithm(oidSHA1With3DES, pbeParams{salt, iterations}), encryptCBC(block, iv, plain)
}

// encryptCBC encrypts after padding (RFC 8018 6.1.1).
func encryptCBC(block cipher.Block, iv, plain []byte) []byte {
	padding := block.BlockSize() - len(plain)%block.BlockSize()
	padded := append([]byte(nil), plain...)
	for range padding {
		padded = append(padded, byte(padding))
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return padded
}

// mac authenticates the content.
func (w *encrypter) mac(content []byte, digest asn1.ObjectIdentifier, newHash func() hash.Hash, saltLen int) (m macData) {
	m.Salt, m.Iterations = w.salt(saltLen), iterations
	m.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: digest, Parameters: asn1.NullRawValue}
	h := hmac.New(newHash, derive(newHash, w.password, m.Salt, forMAC, newHash().Size()))
	h.Write(content)
	m.Digest.Digest = h.Sum(nil)
	return m
}

// derive makes a key of a password (RFC 7292 B.2). The letters are those of the RFC.
func derive(newHash func() hash.Hash, password string, salt []byte, purpose byte, size int) []byte {
	v := newHash().BlockSize()
	d := repeat([]byte{purpose}, v)
	i := append(repeat(salt, v), repeat(append(bmp(password), 0, 0), v)...)
	var key []byte
	for len(key) < size {
		a := sum(newHash, append(d[:v:v], i...))
		for range iterations - 1 {
			a = sum(newHash, a)
		}
		key = append(key, a...)
		b := new(big.Int).SetBytes(repeat(a, v)[:v])
		b.Add(b, big.NewInt(1))
		for at := 0; at < len(i); at += v {
			n := new(big.Int).SetBytes(i[at : at+v])
			n.Add(n, b)
			n.SetBit(n, 8*v, 0) // modulo 2^(8v)
			n.FillBytes(i[at : at+v])
		}
	}
	return key[:size]
}

func sum(newHash func() hash.Hash, data []byte) []byte {
	h := newHash()
	h.Write(data)
	return h.Sum(nil)
}

// repeat repeats bytes until they fill whole blocks.
func repeat(b []byte, blockSize int) []byte {
	out := make([]byte, (len(b)+blockSize-1)/blockSize*blockSize)
	for i := range out {
		out[i] = b[i%len(b)]
	}
	return out
}

func (w *encrypter) salt(n int) []byte {
	salt := make([]byte, n)
	_, err := io.ReadFull(w.salts, salt)
	w.fail(err)
	return salt
}

func (w *encrypter) algorithm(id asn1.ObjectIdentifier, params any) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: id, Parameters: w.raw(w.marshal(params))}
}

func (w *encrypter) marshal(v any) []byte {
	der, err := asn1.Marshal(v)
	w.fail(err)
	return der
}

func (w *encrypter) raw(der []byte) asn1.RawValue { return asn1.RawValue{FullBytes: der} }

func (w *encrypter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func bmp(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}
