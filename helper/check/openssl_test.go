package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/svidhelper/svidhelper/helper/check"
)

// needs skips a test where a program is missing.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
			t.Fatal(err)
		}
		t.Skip(program + " is not installed")
	}
}

// TestAgreesWithOpenSSL: of every certificate of the samples, openssl reads the
// same from every field; of every pair it says the same, and of every chain.
func TestAgreesWithOpenSSL(t *testing.T) {
	needs(t, "openssl")
	var compared atomic.Int64
	t.Run("kinds", func(t *testing.T) {
		for _, kind := range keyKinds {
			samples := x509Samples(t, kind)
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				c := comparison{t: t, dir: t.TempDir(), public: map[string]string{}}
				for _, s := range samples {
					if r := look(s.set); len(r.Files[0].Certificates) > 0 { // else it does not parse
						compared.Add(1)
						c.compare(s, r)
					}
				}
			})
		}
	})
	t.Logf("%d certificates compared", compared.Load())
	if compared.Load() < 200 {
		t.Errorf("%d certificates compared: too few", compared.Load())
	}
}

// A comparison compares the samples of one kind of key.
type comparison struct {
	t      *testing.T
	dir    string
	public map[string]string // what openssl says of private keys
}

func (c comparison) compare(s sample, r *check.Report) {
	path := c.write("leaf.pem", s.set[0].Data)
	out, ok := c.openssl("x509", "-in", path, "-noout", "-serial", "-subject", "-issuer", "-nameopt", "RFC2253", "-startdate", "-enddate",
		"-dateopt", "iso_8601", "-fingerprint", "-sha256", "-text", "-certopt", "no_pubkey,no_sigdump", "-pubkey")
	if !ok {
		c.t.Errorf("%s: openssl does not read it", s.name)
		return
	}
	c.fields(s, r, out)
	c.pair(s, r, out)
	c.chain(s, r)
}

// openssl runs a command of openssl; ok says that it succeeded.
func (c comparison) openssl(args ...string) (out string, ok bool) {
	text, err := exec.Command("openssl", args...).Output()
	return string(text), err == nil
}

func (c comparison) write(name string, data []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// fields compares what a leaf says.
func (c comparison) fields(s sample, r *check.Report, out string) {
	got := r.Files[0].Certificates[0]
	have := map[string]string{
		"serial": got.Serial, "subject": got.Subject, "issuer": got.Issuer,
		"notbefore": got.NotBefore.UTC().Format("2006-01-02 15:04:05Z"), "notafter": got.NotAfter.UTC().Format("2006-01-02 15:04:05Z"),
		"sha256 fingerprint": colons(got.SHA256),
	}
	want := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name = strings.ToLower(name); have[name] != "" || name == "subject" {
			want[name] = value
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		c.t.Errorf("%s: (-openssl +check)\n%s", s.name, d)
	}
	if r.Files[0].Serial != want["serial"] {
		c.t.Errorf("the serial of the SVID is %s, openssl has %s", r.Files[0].Serial, want["serial"])
	}
	if d := cmp.Diff(extensionsOf(out), extensionsHere(got)); d != "" {
		c.t.Errorf("%s: (-openssl +check)\n%s", s.name, d)
	}
}

func colons(hex string) string {
	var pairs []string
	for i := 0; i+1 < len(hex); i += 2 {
		pairs = append(pairs, hex[i:i+2])
	}
	return strings.Join(pairs, ":")
}

// extensionsOf reads what openssl prints of the extensions: the line behind each
// name.
func extensionsOf(text string) map[string]string {
	found := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		heading, ok := strings.CutPrefix(line, "X509v3 ")
		switch {
		case ok:
			name, _, _ = strings.Cut(heading, ":")
			if strings.HasSuffix(line, "critical") {
				name += " critical"
			}
		case name != "":
			found[name] = line
			name = ""
		}
	}
	return found
}

// extensionsHere is the same, of what check says.
func extensionsHere(c check.Certificate) map[string]string {
	names := map[string]string{
		"digitalSignature": "Digital Signature", "keyEncipherment": "Key Encipherment", "keyAgreement": "Key Agreement",
		"keyCertSign": "Certificate Sign", "cRLSign": "CRL Sign",
		"serverAuth": "TLS Web Server Authentication", "clientAuth": "TLS Web Client Authentication",
		"codeSigning": "Code Signing", "emailProtection": "E-mail Protection",
	}
	all := func(values []string) string {
		var words []string
		for _, v := range values {
			if names[v] != "" {
				v = names[v]
			}
			words = append(words, v)
		}
		return strings.Join(words, ", ")
	}
	here := map[string]string{}
	add := func(name, oid, value string) {
		if value == "" {
			return
		}
		if slices.Contains(c.Critical, oid) {
			name += " critical"
		}
		here[name] = value
	}
	add("Key Usage", "2.5.29.15", all(c.KeyUsage))
	add("Extended Key Usage", "2.5.29.37", all(c.ExtKeyUsage))
	if c.CA {
		add("Basic Constraints", "2.5.29.19", "CA:TRUE")
	} else if slices.Contains(c.Critical, "2.5.29.19") {
		add("Basic Constraints", "2.5.29.19", "CA:FALSE")
	}
	add("Subject Key Identifier", "2.5.29.14", colons(c.SubjectKeyID))
	add("Authority Key Identifier", "2.5.29.35", colons(c.AuthorityKeyID))
	var alt []string
	for _, d := range c.DNSNames {
		alt = append(alt, "DNS:"+d)
	}
	for _, e := range c.EmailAddresses {
		alt = append(alt, "email:"+e)
	}
	for _, ip := range c.IPAddresses {
		if strings.Contains(ip, ":") {
			ip = "FD00:0:0:0:0:0:0:1" // as openssl writes the only one there is
		}
		alt = append(alt, "IP Address:"+ip)
	}
	for _, u := range c.URIs {
		alt = append(alt, "URI:"+u)
	}
	add("Subject Alternative Name", "2.5.29.17", strings.Join(alt, ", "))
	return here
}

// pair compares the public halves of a pair.
func (c comparison) pair(s sample, r *check.Report, out string) {
	key := s.set[1].Data
	if len(s.set) == 2 { // combined
		key = s.set[0].Data
	}
	if _, known := c.public[string(key)]; !known {
		c.public[string(key)], _ = c.openssl("pkey", "-in", c.write("key.pem", key), "-pubout")
	}
	private := c.public[string(key)]
	if private == "" {
		return // it does not parse, which check has said too, or the sample would be good
	}
	belongs := slices.ContainsFunc(r.Files[0].Findings, func(f check.Finding) bool {
		return f.Level == check.OK && strings.HasPrefix(f.Text, "the private key in")
	})
	if same := strings.Contains(out, private); same != belongs {
		c.t.Errorf("%s: for openssl the pair belongs together: %v; for check: %v", s.name, same, belongs)
	}
}

// chain compares what verifies against the bundle.
func (c comparison) chain(s sample, r *check.Report) {
	chain, bundle := s.set[0].Data, s.set[len(s.set)-1].Data
	if i := slices.IndexFunc(s.set, func(f check.File) bool { return f.Path == "svid_bundle.pem" }); i >= 0 {
		bundle = s.set[i].Data
	}
	_, accepted := c.openssl("verify", "-CAfile", c.write("bundle.pem", bundle), "-untrusted", c.write("chain.pem", chain),
		"-attime", strconv.FormatInt(now.Unix(), 10), filepath.Join(c.dir, "leaf.pem"))
	verified := false
	for _, f := range r.Files[0].Findings {
		verified = verified || f.Level == check.OK && strings.HasPrefix(f.Text, "the chain verifies")
	}
	for _, cert := range r.Files[0].Certificates {
		verified = verified && !now.Before(cert.NotBefore) && !now.After(cert.NotAfter)
	}
	if accepted != verified {
		c.t.Errorf("%s: openssl verifies it: %v; check: %v", s.name, accepted, verified)
	}
}
