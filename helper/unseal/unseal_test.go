package unseal

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestKeyOfOpenSSL opens what openssl has encrypted.
func TestKeyOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SVIDHELPER_TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	encrypted := func(more ...string) []byte {
		args := append([]string{"pkcs8", "-topk8", "-inform", "DER", "-outform", "DER", "-in", in, "-out", out, "-passout", "pass:päss"}, more...)
		if said, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	data := encrypted()
	if got, err := Key(data, "päss"); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("another key: %v", err)
	}
	for range 300 { // of which one in 256 has a padding that seems right
		if got, err := Key(data, rand.Text()); !errors.Is(err, ErrPassword) {
			t.Errorf("any password opens it: %x, %v", got, err)
		}
	}
	if data := encrypted("-v2", "aes-128-cbc"); !IsEncryptedKey(data) {
		t.Error("another cipher is no encrypted key")
	} else if _, err := Key(data, "päss"); err == nil || errors.Is(err, ErrPassword) {
		t.Errorf("another cipher: %v", err)
	}
}

// TestTooManyIterations: a key that would take hours is not begun.
func TestTooManyIterations(t *testing.T) {
	raw := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	for _, iterations := range []int{-1, 0, maxIterations + 1, 1 << 62} {
		kdf := pbkdf2Params{Salt: make([]byte, 8), Iterations: iterations}
		kdf.PRF.Algorithm = oidHMACWithSHA256
		var params pbes2Params
		params.KDF.Algorithm, params.KDF.Parameters = oidPBKDF2, raw(kdf)
		params.Cipher.Algorithm, params.Cipher.Parameters = oidAES256CBC, raw(make([]byte, 16))
		key := encryptedKey{Data: make([]byte, 16)}
		key.Algorithm.Algorithm, key.Algorithm.Parameters = oidPBES2, raw(params)
		if _, err := Key(raw(key).FullBytes, "x"); err == nil || errors.Is(err, ErrPassword) {
			t.Errorf("%d iterations: %v", iterations, err)
		}
	}
}

// FuzzOpen: no bytes do harm, and what is opened is whole.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0x30, 0x06, 2, 1, 3, 0x30, 1, 0}, "x")
	f.Add([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff}, "x")
	f.Fuzz(func(t *testing.T, data []byte, password string) {
		if key, err := Key(data, password); err == nil && len(key) == 0 {
			t.Error("an empty key")
		}
		if !NeedsPassword(data) && !IsPKCS12(data) {
			t.Error("it has no password, and is no keystore")
		}
		if !IsJKS(data) && !IsPKCS12(data) {
			return
		}
		if s, err := Keystore(data, password); err == nil && s.Key == nil && len(s.Chain) > 0 {
			t.Error("a chain without a key")
		}
	})
}
