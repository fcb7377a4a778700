package snapshot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestSerialIsOpenSSLs: what a log says is found with what openssl prints.
func TestSerialIsOpenSSLs(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not here")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*big.Int{
		big.NewInt(1), big.NewInt(0x0e0641d0), big.NewInt(0x80), big.NewInt(0x100),
		new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(1)),
	} {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: n, NotAfter: time.Now().Add(time.Hour)},
			&x509.Certificate{}, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(openssl, "x509", "-noout", "-serial")
		cmd.Stdin = strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(strings.TrimPrefix(string(out), "serial=")); Serial(n) != want {
			t.Errorf("%v is written %s, by openssl %s", n, Serial(n), want)
		}
	}
}
