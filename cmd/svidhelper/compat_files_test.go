//go:build unix

package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// What is in the files, where they are, and who may read them. Most of it shows
// in a one-shot.

const (
	oneShot  = "daemon_mode = false\ntimeout = \"60s\"\n"
	jwtNames = `
jwt_svids = [{jwt_audience = "a", jwt_extra_audiences = ["b"], jwt_svid_file_name = "a.jwt"}]
jwt_bundle_file_name = "jwks.json"
`
)

var hinted = devapi.Config{Identities: []devapi.Identity{
	{ID: spiffeid.RequireFromString("spiffe://example.org/first"), Hint: "first"},
	{ID: spiffeid.RequireFromString("spiffe://example.org/second"), Hint: "second"},
}}

var federated = devapi.Config{Federated: []spiffeid.TrustDomain{
	spiffeid.RequireTrustDomainFromString("z.example"), spiffeid.RequireTrustDomainFromString("a.example"),
}}

var fileFacts = []fact{
	{name: "absolute names without cert_dir are absolute, in several directories too", bare: true, test: func(t *testing.T, s *swapped) {
		s.configure(oneShot + fmt.Sprintf(`
svid_file_name = %q
svid_key_file_name = %q
svid_bundle_file_name = %q
jwt_svids = [{jwt_audience = "a", jwt_svid_file_name = %q}]
`, s.path("opt", "svid.pem"), s.path("opt", "svid.key"), s.path("opt", "svid_bundle.pem"), s.path("etc", "jwts", "aws.jwt")))
		s.run(0)
		for _, name := range []string{"opt/svid.pem", "opt/svid.key", "opt/svid_bundle.pem", "etc/jwts/aws.jwt"} {
			path, err := filepath.EvalSymlinks(s.path(name))
			faultlessly(t, err)
			if dir := filepath.Dir(filepath.Dir(path)); dir != s.path(filepath.Dir(name)) {
				t.Errorf("%s leads to %s, out of its directory", name, path)
			}
		}
		faultlessly(t, missing(s.path("..data")))
	}},
	{name: "with cert_dir an absolute name is below it", bare: true, conf: oneShot + "cert_dir = \"certs\"\njwt_bundle_file_name = \"/x/jwks.json\"\n", test: func(t *testing.T, s *swapped) {
		s.run(0)
		if s.read("certs", "x", "jwks.json") == "" {
			t.Error("it is empty")
		}
	}},
	{name: "two one-shots may use one cert_dir with different names", bare: true, test: func(t *testing.T, s *swapped) {
		s.share()
		s.run(0, "-config", "x509.conf", "-daemon-mode=false")
		s.run(0, "-config", "jwt.conf", "-daemon-mode=false")
		for _, name := range []string{"svid.pem", "key.pem", "bundle.pem", "a.jwt", "jwks.json"} {
			if s.read("certs", name) == "" {
				t.Errorf("%s is empty", name)
			}
		}
		s.run(0, "-config", "x509.conf", "-daemon-mode=false")
	}},
	{name: "two daemons may use one cert_dir with different names", bare: true, test: func(t *testing.T, s *swapped) {
		s.share()
		s.start("-config", "x509.conf")
		s.log.await(t, "published")
		other := s.command(s.name, "-config", "jwt.conf")
		log := newLines()
		other.Stderr = log
		faultlessly(t, other.Start())
		t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
		eventually(t, func() error { // the bundle may come before the token
			_, err := os.Stat(s.path("certs", "a.jwt"))
			_, also := os.Stat(s.path("certs", "jwks.json"))
			return errors.Join(err, also)
		})
		for range 20 {
			before := s.read("certs", "svid.pem")
			s.api.Rotate()
			s.changes("certs/svid.pem", before)
			for _, name := range []string{"key.pem", "bundle.pem", "a.jwt", "jwks.json"} {
				if s.read("certs", name) == "" {
					t.Fatalf("%s is empty", name)
				}
			}
		}
		s.stop(syscall.SIGTERM, 0)
		faultlessly(t, other.Process.Signal(syscall.SIGTERM))
		faultlessly(t, other.Wait())
	}},
	{name: "publish = in-place keeps the files and their owner", conf: oneShot + "cert_dir = \"certs\"\npublish = \"in-place\"\n", test: func(t *testing.T, s *swapped) {
		faultlessly(t, os.Mkdir(s.path("certs"), 0o755))
		s.write("certs/svid.pem", "old")
		before, err := os.Stat(s.path("certs", "svid.pem"))
		faultlessly(t, err)
		s.run(0)
		after, err := os.Lstat(s.path("certs", "svid.pem"))
		faultlessly(t, err)
		if !os.SameFile(before, after) {
			t.Error("it is another file now")
		}
		wantCertificates(t, s.read("certs", "svid.pem"), s.api.SVIDs()[0].Certificates...)
	}},
	{name: "the key is PKCS#8", conf: oneShot, test: func(t *testing.T, s *swapped) {
		s.run(0)
		block, rest := pem.Decode([]byte(s.read("key.pem")))
		if block == nil || block.Type != "PRIVATE KEY" || len(rest) > 0 {
			t.Fatalf("key.pem is not one PRIVATE KEY")
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		faultlessly(t, err)
		public := key.(crypto.Signer).Public().(interface{ Equal(crypto.PublicKey) bool })
		if !public.Equal(certificates(t, s.read("svid.pem"))[0].PublicKey) {
			t.Error("it is not the certificate's")
		}
	}},
	{name: "the certificate is the leaf, then intermediates; the bundle is the trust domain's", api: devapi.Config{Intermediate: true, Federated: federated.Federated}, conf: oneShot,
		test: func(t *testing.T, s *swapped) {
			s.run(0)
			wantCertificates(t, s.read("svid.pem"), s.api.SVIDs()[0].Certificates...)
			wantCertificates(t, s.read("bundle.pem"), s.authorities("example.org")...)
		}},
	{name: "add_intermediates_to_bundle moves the intermediates", api: devapi.Config{Intermediate: true}, conf: oneShot + "add_intermediates_to_bundle = true",
		test: func(t *testing.T, s *swapped) {
			s.run(0)
			chain := s.api.SVIDs()[0].Certificates
			wantCertificates(t, s.read("svid.pem"), chain[0])
			wantCertificates(t, s.read("bundle.pem"), append(s.authorities("example.org"), chain[1:]...)...)
		}},
	{name: "the intermediates that are moved to the bundle stand before the other trust domains", api: devapi.Config{Intermediate: true, Federated: federated.Federated},
		conf: oneShot + "add_intermediates_to_bundle = true\ninclude_federated_domains = true", test: func(t *testing.T, s *swapped) {
			s.run(0)
			want := append(s.authorities("example.org"), s.api.SVIDs()[0].Certificates[1:]...)
			want = append(want, s.authorities("a.example")...)
			wantCertificates(t, s.read("bundle.pem"), append(want, s.authorities("z.example")...)...)
		}},
	{name: "include_federated_domains appends the others in trust-domain order", api: federated, conf: oneShot + "include_federated_domains = true",
		test: func(t *testing.T, s *swapped) {
			s.run(0)
			want := append(s.authorities("example.org"), s.authorities("a.example")...)
			wantCertificates(t, s.read("bundle.pem"), append(want, s.authorities("z.example")...)...)
		}},
	{name: "omit_expired drops expired authorities from the bundle", conf: oneShot + "omit_expired = true", test: func(t *testing.T, s *swapped) {
		s.addExpired()
		s.run(0)
		wantCertificates(t, s.read("bundle.pem"), s.authorities("example.org")...)
	}},
	{name: "without omit_expired they stay", conf: oneShot, test: func(t *testing.T, s *swapped) {
		expired := s.addExpired()
		s.run(0)
		wantCertificates(t, s.read("bundle.pem"), append(s.authorities("example.org"), expired)...)
	}},
	{name: "omit_expired never touches the SVID's chain", api: devapi.Config{Intermediate: true}, conf: oneShot + "omit_expired = true", test: func(t *testing.T, s *swapped) {
		expired := s.addExpired()
		s.run(0)
		wantCertificates(t, s.read("svid.pem"), append(s.api.SVIDs()[0].Certificates, expired)...)
	}},
	{name: "a JWT-SVID is the bare token, no newline", bare: true, conf: oneShot + jwtNames, test: func(t *testing.T, s *swapped) {
		s.run(0)
		token := s.read("a.jwt")
		svid, err := jwtsvid.ParseAndValidate(token, s.api.JWTBundles(), []string{"a"})
		faultlessly(t, err)
		if svid.Marshal() != token {
			t.Error("there is more than the token in the file")
		}
		if got := fmt.Sprint(svid.Audience); got != "[a b]" {
			t.Errorf("audience is %s", got)
		}
	}},
	{name: "a JWT bundle is one JSON object, trust domain name to base64 of its JWKS", api: federated, bare: true, conf: oneShot + jwtNames,
		test: func(t *testing.T, s *swapped) {
			s.run(0)
			var object map[string]string
			faultlessly(t, json.Unmarshal([]byte(s.read("jwks.json")), &object))
			for _, name := range []string{"example.org", "a.example", "z.example"} {
				td := spiffeid.RequireTrustDomainFromString(name)
				jwks, err := base64.StdEncoding.DecodeString(object[name])
				faultlessly(t, err)
				got, err := jwtbundle.Parse(td, jwks)
				faultlessly(t, err)
				if want, _ := s.api.JWTBundles().Get(td); !got.Equal(want) {
					t.Errorf("the keys of %s differ", name)
				}
			}
			if len(object) != 3 {
				t.Errorf("%d trust domains", len(object))
			}
		}},
	{name: "no hint: the first", api: hinted, conf: oneShot + jwtNames, test: selects("/first", "")},
	{name: "hint selects among X.509-SVIDs and JWT-SVIDs", api: hinted, conf: oneShot + jwtNames, test: selects("/second", "second")},
	{name: "hint that two have: the first", api: hinted, conf: oneShot + jwtNames, test: func(t *testing.T, s *swapped) {
		devapi.Mutate(s.faults, func(r *workload.X509SVIDResponse) { r.Svids[1].Hint = "first" })
		devapi.Mutate(s.faults, func(r *workload.JWTSVIDResponse) { r.Svids[1].Hint = "first" })
		selects("/first", "first")(t, s)
	}},
	{name: "hint that none has: an error", api: hinted, conf: "hint = \"third\"\ndaemon_mode = false\n", test: func(t *testing.T, s *swapped) {
		conf := s.read("helper.conf")
		for _, timeout := range []string{"300ms", "3s", "30s"} {
			s.configure(conf + fmt.Sprintf("timeout = %q\n", timeout))
			s.run(1)
			if s.log.count("no X.509-SVID with hint") > 0 {
				break // a busy machine may have come to nothing in that time
			}
		}
		s.log.await(t, `no X.509-SVID with hint "third"`)
		for _, name := range []string{"svid.pem", "key.pem", "bundle.pem"} {
			if err := missing(s.path(name)); err != nil {
				t.Error(err)
			}
		}
	}},
	{name: "hint that no X.509-SVID has: an error in the log of a daemon, which goes on", api: hinted, conf: "hint = \"third\"\ncmd = \"stays\"\n", test: func(t *testing.T, s *swapped) {
		s.start()
		s.log.await(t, "level=ERROR", "third")
		faultlessly(t, s.api.SetIdentities(devapi.Identity{ID: devapi.DefaultID, Hint: "third"}))
		s.record.await(t, "stays started")
	}},
	{name: "cert_dir is created", conf: oneShot + `cert_dir = "new/certs"`, test: filesIn("new/certs/svid.pem", "new/certs/key.pem", "new/certs/bundle.pem")},
	{name: "no cert_dir: the working directory", conf: oneShot, test: filesIn("svid.pem", "key.pem", "bundle.pem")},
	{name: "an empty cert_dir: the working directory", conf: oneShot + `cert_dir = ""`, test: filesIn("svid.pem")},
	{name: "an absolute name is joined to cert_dir too", bare: true, conf: oneShot + `
cert_dir = "certs"
svid_file_name = "/deep/svid.pem"
svid_key_file_name = "/key.pem"
svid_bundle_file_name = "bundle.pem"
`, test: filesIn("certs/deep/svid.pem", "certs/key.pem", "certs/bundle.pem")},
	{name: "modes by default, umask 0", conf: oneShot + jwtNames, test: modes("0", 0o644, 0o600, 0o644, 0o600, 0o600)},
	{name: "modes by default, umask 0077", conf: oneShot + jwtNames, test: modes("0077", 0o644, 0o600, 0o644, 0o600, 0o600)},
	{name: "modes as configured", conf: oneShot + jwtNames + `
cert_file_mode = 0640
key_file_mode = 0x100
jwt_svid_file_mode = "0440"
jwt_bundle_file_mode = 0644
`, test: modes("0022", 0o640, 0o400, 0o640, 0o440, 0o644)},
}

// selects checks which identity a hint selects. An empty one is left out.
func selects(path, hint string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		if hint != "" {
			s.configure(s.read("helper.conf") + fmt.Sprintf("hint = %q\n", hint))
		}
		s.run(0)
		if got := certificates(t, s.read("svid.pem"))[0].URIs[0].Path; got != path {
			t.Errorf("the X.509-SVID is %s", got)
		}
		svid, err := jwtsvid.ParseInsecure(s.read("a.jwt"), []string{"a"})
		faultlessly(t, err)
		if got := svid.ID.Path(); got != path {
			t.Errorf("the JWT-SVID is %s", got)
		}
	}
}

func filesIn(names ...string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.run(0)
		for _, name := range names {
			if !strings.HasPrefix(s.read(name), "-----BEGIN ") {
				t.Errorf("%s is not PEM", name)
			}
		}
	}
}

// modes checks those of all five kinds of file.
func modes(umask string, cert, key, bundle, token, jwks fs.FileMode) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.umask = umask
		s.run(0)
		for name, want := range map[string]fs.FileMode{"svid.pem": cert, "key.pem": key, "bundle.pem": bundle, "a.jwt": token, "jwks.json": jwks} {
			info, err := os.Stat(s.path(name))
			faultlessly(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s has mode %04o, want %04o", name, got, want)
			}
			if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != os.Getuid() {
				t.Errorf("%s belongs to %d", name, uid)
			}
		}
	}
}

// addExpired has an authority that has expired follow the others in the bundle
// and in the chain.
func (s *swapped) addExpired() *x509.Certificate {
	s.t.Helper()
	past, err := devapi.NewAuthority(devapi.DefaultID.TrustDomain(), devapi.AuthorityOptions{
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	})
	faultlessly(s.t, err)
	expired := past.X509Authority()
	devapi.Mutate(s.faults, func(r *workload.X509SVIDResponse) {
		r.Svids[0].Bundle = append(bytes.Clone(r.Svids[0].Bundle), expired.Raw...)
		r.Svids[0].X509Svid = append(bytes.Clone(r.Svids[0].X509Svid), expired.Raw...)
	})
	return expired
}

func (s *swapped) authorities(td string) []*x509.Certificate {
	s.t.Helper()
	b, err := s.api.X509Bundles().GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString(td))
	faultlessly(s.t, err)
	return b.X509Authorities()
}

func certificates(t *testing.T, text string) (all []*x509.Certificate) {
	t.Helper()
	for rest := []byte(text); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			t.Fatalf("not all of it is certificates:\n%s", text)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		faultlessly(t, err)
		all = append(all, cert)
	}
	return all
}

func wantCertificates(t *testing.T, text string, want ...*x509.Certificate) {
	t.Helper()
	got := certificates(t, text)
	if len(got) != len(want) {
		t.Fatalf("%d certificates, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].Equal(want[i]) {
			t.Errorf("certificate %d is %s, want %s", i, got[i].Subject, want[i].Subject)
		}
	}
}

// share writes two files with one cert_dir, and none of their own names in common.
func (s *swapped) share() {
	s.write("x509.conf", "cert_dir = \"certs\"\n"+x509Names)
	s.write("jwt.conf", "cert_dir = \"certs\"\n"+jwtNames)
}

func TestCompatFiles(t *testing.T) { testFacts(t, fileFacts) }
