package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
)

// commands returns the blocks of the document that a shell can run.
func commands(t *testing.T) []string {
	var all []string
	for _, part := range strings.Split(string(read(t, "../../docs/release.md")), "```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		all = append(all, block)
	}
	if len(all) != 2 {
		t.Fatalf("the document has %d blocks, not one to sign and one to verify", len(all))
	}
	return all
}

// TestSigned: what the document says makes a signature that it verifies, and so does
// the library of cosign; and neither takes another file for the signed one.
func TestSigned(t *testing.T) {
	need(t, "openssl")
	dir := t.TempDir()
	run(t, "cp", "-r", releaseOf(t).dist+"/.", dir)
	in := func(command string) ([]byte, error) {
		cmd := exec.Command("sh", "-ec", command)
		cmd.Dir = dir
		return cmd.CombinedOutput()
	}
	blocks := commands(t)
	for _, command := range []string{
		"openssl ecparam -genkey -name prime256v1 -noout -out release.key && openssl ec -in release.key -pubout -out cosign.pub",
		blocks[0], blocks[1],
	} {
		if out, err := in(command); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	block, _ := pem.Decode(read(t, filepath.Join(dir, "cosign.pub")))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := base64.StdEncoding.DecodeString(string(read(t, filepath.Join(dir, "SHA256SUMS.sig"))))
	if err != nil {
		t.Fatal(err)
	}
	sums := read(t, filepath.Join(dir, "SHA256SUMS"))
	if err := verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(sums)); err != nil {
		t.Error(err)
	}
	forged := append([]byte("0"), sums[1:]...)
	if bytes.Equal(forged, sums) {
		forged[0] = '1'
	}
	if err := verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(forged)); err == nil {
		t.Error("the library takes a forgery")
	}
	if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), forged, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := in(blocks[1]); err == nil {
		t.Errorf("the commands take a forgery: %s", out)
	}
}
