package consumers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	vault "github.com/hashicorp/vault/api"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// whose is a line of a configuration that says who owns the files: users that are
// not on this machine.
var whose = regexp.MustCompile(`(?m)^ +(user|owner|group) += .*\n`)

// written has svidhelper write the files of an example to another directory.
func written(t *testing.T, example, folder string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tls")
	conf := filepath.Join(t.TempDir(), "helper.conf")
	text := whose.ReplaceAllString(adapted(t, example+"/helper.conf", folder, dir), "")
	must(t, os.WriteFile(conf, []byte(text), 0o600))
	if out, err := exec.Command(svidhelper, "fetch", "-config", conf).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestMongoDB has MongoDB's driver read the two files, and connect with them.
func TestMongoDB(t *testing.T) {
	dir := written(t, "mongodb", "/run/mongodb-tls")
	for _, name := range []string{"tls.pem", "ca.crt"} {
		adapted(t, "mongodb/mongod.conf", "/run/mongodb-tls/"+name, "") // it names what is written
	}
	client := options.Client().ApplyURI(fmt.Sprintf(
		"mongodb://localhost/?tls=true&tlsCertificateKeyFile=%[1]s/tls.pem&tlsCAFile=%[1]s/ca.crt", dir))
	must(t, client.Validate())
	address := serve(t, dir+"/tls.pem", dir+"/tls.pem", dir+"/ca.crt")
	answer, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: client.TLSConfig}}).Get(address)
	must(t, err)
	defer answer.Body.Close()
	isTheWorkload(t, answer)
}

// TestVault has Vault's client read the three files, and connect with them.
func TestVault(t *testing.T) {
	dir := written(t, "vault", "/run/vault-tls")
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		adapted(t, "vault/vault.hcl", "/run/vault-tls/"+name, "")
	}
	t.Setenv(vault.EnvVaultAddress, serve(t, dir+"/tls.crt", dir+"/tls.key", dir+"/ca.crt"))
	t.Setenv(vault.EnvVaultCACert, dir+"/ca.crt")
	t.Setenv(vault.EnvVaultClientCert, dir+"/tls.crt")
	t.Setenv(vault.EnvVaultClientKey, dir+"/tls.key")
	config := vault.DefaultConfig() // from the environment
	must(t, config.Error)
	client, err := vault.NewClient(config)
	must(t, err)
	answer, err := client.RawRequestWithContext(t.Context(), client.NewRequest("GET", "/v1/sys/health"))
	must(t, err)
	defer answer.Body.Close()
	isTheWorkload(t, answer.Response)
}

// TestEnvoyWatched reads Envoy's configuration and its secrets as Envoy's types, with its
// rules; the secrets name the files that svidhelper writes.
func TestEnvoyWatched(t *testing.T) {
	decode := func(name string, into interface {
		proto.Message
		ValidateAll() error
	}, oldNew ...string) {
		t.Helper()
		text, err := yaml.YAMLToJSONStrict([]byte(adapted(t, name, oldNew...)))
		must(t, err)
		must(t, protojson.Unmarshal(text, into))
		must(t, into.ValidateAll())
	}
	decode("envoy/envoy.yaml", &bootstrap.Bootstrap{}, "/etc/envoy/sds.yaml", "/etc/envoy/sds.yaml")

	dir := written(t, "envoy", "/run/envoy-tls")
	var sds discovery.DiscoveryResponse
	decode("envoy/sds.yaml", &sds, "/run/envoy-tls", dir)
	found := map[string]*secret.Secret{}
	for _, r := range sds.Resources {
		s := &secret.Secret{}
		must(t, r.UnmarshalTo(s))
		must(t, s.ValidateAll())
		found[s.Name] = s
	}
	svid, bundle := found["svid"].GetTlsCertificate(), found["bundle"].GetValidationContext()
	serve(t, svid.GetCertificateChain().GetFilename(), svid.GetPrivateKey().GetFilename(), bundle.GetTrustedCa().GetFilename())
	for _, watched := range []string{svid.GetWatchedDirectory().GetPath(), bundle.GetWatchedDirectory().GetPath()} {
		if _, err := os.Readlink(filepath.Join(watched, "..data")); err != nil {
			t.Errorf("nothing is renamed there: %v", err)
		}
	}
}

// serve serves TLS with the files, says which SPIFFE ID a client has, and refuses a
// client without an SVID.
func serve(t *testing.T, cert, key, bundle string) (address string) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	authorities, err := os.ReadFile(bundle)
	must(t, err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		t.Fatalf("no authority in %s", bundle)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Caller", r.TLS.PeerCertificates[0].URIs[0].String())
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func isTheWorkload(t *testing.T, answer *http.Response) {
	t.Helper()
	if caller := answer.Header.Get("Caller"); caller != "spiffe://example.org/web" {
		t.Errorf("the server was called by %q", caller)
	}
}
