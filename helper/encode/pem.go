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

// encodeCerts writes certificates, in DER one after the other.
func encodeCerts(certs []*x509.Certificate, encoding Encoding) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		if encoding == EncodingDER {
			out.Write(c.Raw)
		} else {
			writePEM(&out, "CERTIFICATE", c.Raw)
		}
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

// keyDER encodes a private key, and says what PEM calls it. Only RSA and ECDSA keys
// have a traditional form.
func keyDER(key crypto.Signer, encoding KeyEncoding) (label string, der []byte, err error) {
	if encoding == KeyTraditional {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil
		case *ecdsa.PrivateKey:
			if der, err = x509.MarshalECPrivateKey(key); err != nil {
				err = fmt.Errorf("encoding the private key: %w", err)
			}
			return "EC PRIVATE KEY", der, err
		}
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		err = fmt.Errorf("encoding the private key: %w", err)
	}
	return "PRIVATE KEY", der, err
}

// writePEM appends a PEM block. It cannot fail: there are no headers, and a
// buffer takes everything.
func writePEM(out *bytes.Buffer, label string, der []byte) {
	_ = pem.Encode(out, &pem.Block{Type: label, Bytes: der})
}
