package encode

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"

	"github.com/svidhelper/svidhelper/helper/unseal"
)

// readAuthorities reads the authorities of a file of X.509 bundles.
func readAuthorities(b *X509Bundle, data []byte) ([]*x509.Certificate, error) {
	if b.Format != FormatPKCS12 && b.Format != FormatJKS {
		return readCerts(data)
	}
	store, err := opened(data, b.Secret)
	return store.Trusted, err
}

// readCerts reads certificates in PEM or DER; there is at least one. Other blocks of
// PEM, such as the key of a combined file, are passed over.
func readCerts(data []byte) (certs []*x509.Certificate, err error) {
	rest := data
	for block, after := pem.Decode(rest); block != nil; block, after = pem.Decode(rest) {
		rest = after
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(rest) == len(data) {
		certs, err = x509.ParseCertificates(data)
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("there is no certificate in it")
	}
	return certs, err
}

// readKey reads a private key in PEM or DER.
func readKey(data []byte, s Secret) (crypto.Signer, error) {
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	if s != (Secret{}) {
		password, err := s.Read(os.ReadFile)
		if err == nil {
			data, err = unseal.Key(data, password)
		}
		if err != nil {
			return nil, err
		}
	}
	if key, err := x509.ParseECPrivateKey(data); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(data); err == nil {
		return key, nil
	}
	return unseal.ParseKey(data)
}

// opened opens a keystore.
func opened(data []byte, s Secret) (unseal.Store, error) {
	password, err := s.Read(os.ReadFile)
	if err != nil {
		return unseal.Store{}, err
	}
	return unseal.Keystore(data, password)
}
