package keystore

import (
	"fmt"
	"io"
)

// EncryptKey encrypts PKCS#8 with a password, as Modern does (RFC 5958 3).
func EncryptKey(pkcs8 []byte, password string, salts io.Reader) ([]byte, error) {
	w := encrypter{password: password, salts: salts}
	var key encryptedKey
	key.Algorithm, key.Data = w.modern(pkcs8)
	out := w.marshal(key)
	if w.err != nil {
		return nil, fmt.Errorf("encrypting the private key: %w", w.err)
	}
	return out, nil
}
