package credential

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/writer"
)

// What is printed is read by programs that are not ours: it stays as it is here.
func TestFormsOfAJWTSVID(t *testing.T) {
	set := encode.Set{
		Files: []writer.File{{Name: "token", Data: []byte("aaa.bbb.ccc")}},
		Identities: []encode.Identity{{
			ID: spiffeid.RequireFromString("spiffe://example.org/web"), Hint: "internal", Audience: []string{"vault", "b"},
			NotAfter: time.Date(2026, 11, 27, 22, 5, 0, 0, time.UTC),
		}},
	}
	for form, want := range map[Form]string{
		Token: "aaa.bbb.ccc\n",
		JSON: `{
  "spiffe_id": "spiffe://example.org/web",
  "hint": "internal",
  "audience": [
    "vault",
    "b"
  ],
  "expires": "2026-11-27T22:05:00Z",
  "token": "aaa.bbb.ccc"
}
`,
		ExecCredential: `{
  "apiVersion": "client.authentication.k8s.io/v1",
  "kind": "ExecCredential",
  "status": {
    "expirationTimestamp": "2026-11-27T22:05:00Z",
    "token": "aaa.bbb.ccc"
  }
}
`,
		GCPExecutable: `{
  "version": 1,
  "success": true,
  "token_type": "urn:ietf:params:oauth:token-type:jwt",
  "id_token": "aaa.bbb.ccc",
  "expiration_time": 1795817100
}
`,
	} {
		got, err := PrintJWT(form, set)
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", form, diff)
		}
	}
	for _, form := range append(Forms(), "credential-process") {
		if text, err := PrintJWT(form, encode.Set{}); err == nil || len(text) > 0 {
			t.Errorf("%s of nothing: %q, %v", form, text, err)
		}
	}
	if _, err := PrintJWT("credential-process", set); err == nil {
		t.Error("a form that does not exist")
	}
}

func TestFormOfAnX509SVID(t *testing.T) {
	text := func(name, data string) writer.File { return writer.File{Name: name, Data: []byte(data)} }
	got, err := PrintX509(encode.Set{
		Files: []writer.File{text("cert", "C\n"), text("key", "K\n"), text("bundle", "B\n"), text("federated/other.org", "F\n")},
		Identities: []encode.Identity{{
			ID: spiffeid.RequireFromString("spiffe://example.org/web"), Serial: "0e06",
			NotBefore: time.Date(2026, 11, 27, 21, 5, 0, 0, time.UTC), NotAfter: time.Date(2026, 11, 27, 22, 5, 0, 0, time.UTC),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{
  "spiffe_id": "spiffe://example.org/web",
  "serial": "0e06",
  "not_before": "2026-11-27T21:05:00Z",
  "expires": "2026-11-27T22:05:00Z",
  "cert": "C\n",
  "key": "K\n",
  "bundle": "B\n",
  "federated_bundles": {
    "other.org": "F\n"
  }
}
`, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text, err := PrintX509(encode.Set{}); err == nil || len(text) > 0 {
		t.Errorf("of nothing: %q, %v", text, err)
	}
}

// A hint comes from the Workload API, and may hold what moves a terminal's cursor.
func TestAHintIsText(t *testing.T) {
	set := encode.Set{Files: []writer.File{{Name: "token", Data: []byte("a.b.c")}}, Identities: []encode.Identity{{Hint: "\x1b[2J\u009b31m<&>"}}}
	got, err := PrintJWT(JSON, set)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"hint": "\u001b[2J\u009b31m<&>"`; !strings.Contains(string(got), want) {
		t.Errorf("%s\nwant %s", got, want)
	}
}
