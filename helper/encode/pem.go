package encode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

func certsPEM(certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		writePEM(&out, "CERTIFICATE", c.Raw)
	}
	return out.Bytes()
}

func crlPEM(crls []*x509.RevocationList) ([]byte, error) {
	if len(crls) == 0 {
		return nil, errNothing
	}
	var out bytes.Buffer
	for _, c := range crls {
		writePEM(&out, "X509 CRL", c.Raw)
	}
	return out.Bytes(), nil
}

// keyPEM encodes a private key. Only RSA and ECDSA keys have a traditional form.
func keyPEM(key crypto.Signer, encoding KeyEncoding) ([]byte, error) {
	var out bytes.Buffer
	if encoding == KeyTraditional {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			writePEM(&out, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
			return out.Bytes(), nil
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(key)
			if err != nil {
				return nil, fmt.Errorf("encoding the private key: %w", err)
			}
			writePEM(&out, "EC PRIVATE KEY", der)
			return out.Bytes(), nil
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the private key: %w", err)
	}
	writePEM(&out, "PRIVATE KEY", der)
	return out.Bytes(), nil
}

// writePEM appends a PEM block. It cannot fail: there are no headers, and a
// buffer takes everything.
func writePEM(out *bytes.Buffer, label string, der []byte) {
	_ = pem.Encode(out, &pem.Block{Type: label, Bytes: der})
}
