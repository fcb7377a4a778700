package unseal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
)

var (
	oidPBES2          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidHMACWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidAES256CBC      = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF, Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	PRF        pkix.AlgorithmIdentifier
}

// ErrPassword says that a password is another one, or what it should open is
// damaged.
var ErrPassword = errors.New("its password is another one, or it is damaged")

// What Key does not wait for.
const (
	maxIterations   = 1 << 24
	maxEncryptedKey = 64 << 10 // bytes
)

// Key returns the PKCS#8 that an encrypted private key holds. It knows the algorithms
// alone that OpenSSL 3 takes unless it is told otherwise.
func Key(der []byte, password string) ([]byte, error) {
	key, params, err := parseEncryptedKey(der)
	if err != nil {
		return nil, err
	}
	var kdf pbkdf2Params
	var iv []byte
	switch {
	case !params.KDF.Algorithm.Equal(oidPBKDF2) || !params.Cipher.Algorithm.Equal(oidAES256CBC):
	case !whole(params.KDF.Parameters.FullBytes, &kdf) || !whole(params.Cipher.Parameters.FullBytes, &iv):
	case !kdf.PRF.Algorithm.Equal(oidHMACWithSHA256) || kdf.Iterations < 1 || kdf.Iterations > maxIterations:
	case len(iv) != aes.BlockSize || len(key.Data) == 0 || len(key.Data)%aes.BlockSize != 0:
	default:
		return decrypt(key.Data, password, kdf, iv)
	}
	return nil, errors.New("its encryption is not PBES2 of PBKDF2, HMAC-SHA-256 and AES-256-CBC")
}

// IsEncryptedKey reports whether DER is an encrypted PKCS#8 key.
func IsEncryptedKey(der []byte) bool {
	_, _, err := parseEncryptedKey(der)
	return err == nil
}

func parseEncryptedKey(der []byte) (key encryptedKey, params pbes2Params, err error) {
	if len(der) > maxEncryptedKey || !whole(der, &key) || !key.Algorithm.Algorithm.Equal(oidPBES2) || !whole(key.Algorithm.Parameters.FullBytes, &params) {
		err = errors.New("this is no private key that is encrypted with PBES2")
	}
	return key, params, err
}

// whole reports whether DER is a value, with nothing after it.
func whole(der []byte, v any) bool {
	rest, err := asn1.Unmarshal(der, v)
	return err == nil && len(rest) == 0
}

func decrypt(data []byte, password string, kdf pbkdf2Params, iv []byte) ([]byte, error) {
	secret, err := pbkdf2.Key(sha256.New, password, kdf.Salt, kdf.Iterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, ErrPassword
	}
	plain = plain[:len(plain)-padding]
	var any asn1.RawValue
	if !whole(plain, &any) { // a wrong password's padding can be right
		return nil, ErrPassword
	}
	return plain, nil
}
