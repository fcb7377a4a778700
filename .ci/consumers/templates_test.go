package consumers

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloud.google.com/go/auth/credentials"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// templates writes the files of examples/templates, and returns their directory.
func templates(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(examples, "templates"))))
	conf := filepath.Join(dir, "helper.conf")
	must(t, os.WriteFile(conf, []byte(adapted(t, "templates/helper.conf", "/run/svidhelper/templates", filepath.Join(dir, "files"))), 0o600))
	if out, err := exec.Command(svidhelper, "fetch", "-config", conf).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "files")
}

func leafOf(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	block, _ := pem.Decode(data)
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return leaf
}

// TestEnvoy: Envoy's own types take the file, with certificate, key and bundle.
func TestEnvoy(t *testing.T) {
	files := templates(t)
	data, err := os.ReadFile(filepath.Join(files, "envoy-sds.json"))
	must(t, err)
	var answer discoveryv3.DiscoveryResponse
	must(t, protojson.Unmarshal(data, &answer)) // unknown fields are errors
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(files, name))
		must(t, err)
		return string(data)
	}
	var names []string
	for _, resource := range answer.GetResources() {
		var secret tlsv3.Secret
		must(t, resource.UnmarshalTo(&secret))
		must(t, secret.ValidateAll())
		names = append(names, secret.GetName())
		if pair := secret.GetTlsCertificate(); pair != nil && (pair.GetCertificateChain().GetInlineString() != read("tls.crt") || pair.GetPrivateKey().GetInlineString() != read("tls.key")) {
			t.Error("certificate or key is another one")
		}
		if trust := secret.GetValidationContext(); trust != nil && trust.GetTrustedCa().GetInlineString() != read("ca.crt") {
			t.Error("the bundle is another one")
		}
	}
	if got := fmt.Sprint(names); got != "[spiffe://example.org/web spiffe://example.org]" {
		t.Error(got)
	}
}

// TestGoogleCertificate: Google's library finds the SVID by the file, and shows it.
func TestGoogleCertificate(t *testing.T) {
	files := templates(t)
	leaf := leafOf(t, filepath.Join(files, "tls.crt"))
	shown := make(chan *x509.Certificate, 1)
	tokens := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- r.TLS.PeerCertificates[0]
		tokens <- r.FormValue("subject_token")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "google's", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	must(t, os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	t.Setenv("SSL_CERT_FILE", roots)
	config, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/spiffe",
		"subject_token_type": "urn:ietf:params:oauth:token-type:mtls", "token_url": server.URL + "/v1/token",
		"credential_source": map[string]any{"certificate": map[string]any{"certificate_config_location": filepath.Join(files, "certificate_config.json")}},
	})
	must(t, err)
	c, err := credentials.NewCredentialsFromJSON(credentials.ExternalAccount, config, &credentials.DetectOptions{Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}})
	must(t, err)
	token, err := c.Token(t.Context())
	must(t, err)
	if token.Value != "google's" {
		t.Errorf("the library's token is %q", token.Value)
	}
	if got := <-shown; !got.Equal(leaf) {
		t.Errorf("it has shown %v", got.URIs)
	}
	var chain []string
	must(t, json.Unmarshal([]byte(<-tokens), &chain))
	if len(chain) == 0 || chain[0] != base64.StdEncoding.EncodeToString(leaf.Raw) {
		t.Error("the subject token is of another certificate")
	}
}
