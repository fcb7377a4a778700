package helper

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// certificates returns the certificates of a PEM file.
func certificates(t *testing.T, path ...string) []*x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return parseCertificates(t, b)
}

func parseCertificates(t *testing.T, b []byte) []*x509.Certificate {
	t.Helper()
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		certs = append(certs, c)
	}
}

// leafOnDisk returns the first certificate of a PEM file.
func leafOnDisk(t *testing.T, path ...string) *x509.Certificate {
	t.Helper()
	return certificates(t, path...)[0]
}
