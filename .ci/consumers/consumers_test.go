// Package consumers has what svidhelper prints and writes read by the programs that
// it is for: the client of Kubernetes, Google's library, and that of AWS, each with
// the configuration in examples/ that users are told to copy. It has a module of its
// own, so that none of them becomes a dependency of the product.
package consumers

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/oauth2/google"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const examples = "../../examples"

// svidhelper is the path of the program under test.
var svidhelper string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests beside a development Workload API, whose address is in their
// environment.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "consumers-")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	svidhelper = filepath.Join(dir, "svidhelper")
	build := exec.Command("go", "build", "-tags", "grpcnotrace,nethttpomithttp2", "-o", svidhelper, "./cmd/svidhelper")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return complain(fmt.Errorf("building svidhelper: %v\n%s", err, out))
	}
	api := exec.Command(svidhelper, "dev", "-id", "spiffe://example.org/web", "-dns", "localhost", "-socket", filepath.Join(dir, "api.sock"))
	api.Stderr = os.Stderr
	said, err := api.StdoutPipe()
	if err != nil {
		return complain(err)
	}
	if err := api.Start(); err != nil {
		return complain(err)
	}
	defer func() { _ = api.Process.Kill(); _ = api.Wait() }()
	line, err := bufio.NewReader(said).ReadString('\n') // it serves once it has said where
	if err != nil {
		return complain(err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(line), "=")
	if err := os.Setenv("SPIFFE_ENDPOINT_SOCKET", address); err != nil {
		return complain(err)
	}
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestKubernetes has the client of Kubernetes run the command of the kubeconfig.
func TestKubernetes(t *testing.T) {
	shown := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown <- strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}))
	defer server.Close()
	file, err := clientcmd.LoadFromFile(examples + "/kubectl/kubeconfig.yaml")
	must(t, err)
	cluster := file.Clusters["cluster"]
	cluster.Server, cluster.CertificateAuthority = server.URL, ""
	cluster.CertificateAuthorityData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	file.AuthInfos["workload"].Exec.Command = svidhelper
	config, err := clientcmd.NewDefaultClientConfig(*file, nil).ClientConfig()
	must(t, err)
	client, err := rest.HTTPClientFor(config)
	must(t, err)
	answer, err := client.Get(server.URL)
	must(t, err)
	answer.Body.Close()
	isFor(t, <-shown, "kubernetes")
}

// TestGoogle has Google's library run the command of the credential configuration.
func TestGoogle(t *testing.T) {
	asked := make(chan url.Values, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		asked <- r.Form
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "google's", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	defer server.Close()
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	config := adapted(t, "gcp/credential.json", "https://sts.googleapis.com/v1/token", server.URL, "/usr/bin/svidhelper", svidhelper)
	credentials, err := google.CredentialsFromJSONWithType(t.Context(), []byte(config), google.ExternalAccount, "https://www.googleapis.com/auth/cloud-platform")
	must(t, err)
	token, err := credentials.TokenSource.Token()
	must(t, err)
	if token.AccessToken != "google's" {
		t.Errorf("the library's token is %q", token.AccessToken)
	}
	form := <-asked
	if kind := form.Get("subject_token_type"); kind != "urn:ietf:params:oauth:token-type:jwt" {
		t.Errorf("the token's type is %q", kind)
	}
	isFor(t, form.Get("subject_token"), form.Get("audience"))
}

// TestAWS has the AWS library read the token's file, and again when it has changed.
func TestAWS(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if action := r.FormValue("Action"); action != "AssumeRoleWithWebIdentity" {
			t.Errorf("it asks for %q", action)
		}
		asked <- r.FormValue("WebIdentityToken")
		fmt.Fprint(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>`+
			`<AccessKeyId>AKIDEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>`+
			`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`)
	}))
	defer server.Close()
	dir := t.TempDir()
	certs := filepath.Join(dir, "aws")
	helperConf, awsConf := filepath.Join(dir, "helper.conf"), filepath.Join(dir, "config")
	must(t, os.WriteFile(helperConf, []byte(adapted(t, "aws/helper.conf", "/run/svidhelper/aws", certs)), 0o600))
	must(t, os.WriteFile(awsConf, []byte(adapted(t, "aws/config", "/run/svidhelper/aws", certs)), 0o600))
	t.Setenv("AWS_CONFIG_FILE", awsConf)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
	t.Setenv("AWS_ENDPOINT_URL_STS", server.URL)
	config, err := awsconfig.LoadDefaultConfig(t.Context())
	must(t, err)
	last := ""
	for range 2 {
		if out, err := exec.Command(svidhelper, "fetch", "-config", helperConf).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		config.Credentials.(*aws.CredentialsCache).Invalidate()
		keys, err := config.Credentials.Retrieve(t.Context())
		must(t, err)
		if keys.AccessKeyID != "AKIDEXAMPLE" {
			t.Errorf("the library's key is %q", keys.AccessKeyID)
		}
		token := <-asked
		isFor(t, token, "sts.amazonaws.com")
		if token == last {
			t.Error("the library has shown the token of before")
		}
		last = token
	}
}

// adapted returns a file of the examples, with some texts in the place of others.
func adapted(t *testing.T, name string, oldNew ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examples, name))
	must(t, err)
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(string(data), oldNew[i]) {
			t.Fatalf("%s does not name %s", name, oldNew[i])
		}
	}
	return strings.NewReplacer(oldNew...).Replace(string(data))
}

// isFor checks that a token is the workload's, for an audience.
func isFor(t *testing.T, token, audience string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts in what should be a token", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var claims struct {
		Subject  string   `json:"sub"`
		Audience []string `json:"aud"`
	}
	must(t, json.Unmarshal(payload, &claims))
	if claims.Subject != "spiffe://example.org/web" || len(claims.Audience) != 1 || claims.Audience[0] != audience || audience == "" {
		t.Errorf("the token is of %s for %q, want %q", claims.Subject, claims.Audience, audience)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
