//go:build unix

package check_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/source"
)

// stricter are the bad tokens that validators accept, and why they are bad.
var stricter = map[string]string{
	"bad: jku":          "what the standard forbids in a header, no validator has to look for (JWT-SVID 2)",
	"bad: cty":          "as above",
	"bad: sub too long": "the standard asks validators for 2,048 bytes and forbids none (SPIFFE-ID 2.3)",
	"bad: white space":  "go-jose drops it; in an HTTP header it would be one",
}

// TestAgreesWithValidateJWTSVID: of 50 tokens, good and bad, the development
// Workload API accepts those that check has nothing against.
func TestAgreesWithValidateJWTSVID(t *testing.T) {
	api, err := devapi.New(devapi.Config{ManualRotation: true})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "api-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := api.Start("unix://" + filepath.Join(dir, "api.sock")); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	}()
	bundle, ok := api.JWTBundles().Get(spiffeid.RequireTrustDomainFromString("example.org"))
	if !ok {
		t.Fatal("the API has no JWT bundle")
	}
	for _, alg := range []string{"RS256", "ES256", "ES384", "ES512"} {
		if err := bundle.AddJWTAuthority(kidOf(alg), signer(t, alg).Public()); err != nil {
			t.Fatal(err)
		}
	}
	authorities, err := bundle.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{}
	for name, s := range goodJWTs {
		tokens["good: "+name] = s.jwt(t, "ES256")
	}
	for alg := range signers {
		tokens["good: "+alg] = spoiled{}.jwt(t, alg)
	}
	for name, s := range badJWTs {
		tokens["bad: "+name] = s.jwt(t, "ES256")
	}
	accepted := 0
	for name, token := range tokens {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		refusal := source.ValidateJWTSVID(ctx, api.Addr(), token, "vault")
		cancel()
		r := check.Check([]check.Set{{
			{Path: "token", Data: []byte(token), Want: check.Want{Kind: check.JWTSVID}},
			{Path: "bundle.json", Data: authorities},
		}}, check.Options{Now: time.Now(), Audience: "vault"})
		agree := r.Usable == (refusal == nil)
		if _, known := stricter[name]; known {
			agree = !r.Usable && refusal == nil // else the difference is none any more
		}
		if !agree {
			t.Errorf("%s: the agent says %v, check %v", name, refusal, r.Files[0].Findings)
		}
		if refusal == nil {
			accepted++
		}
	}
	t.Logf("%d tokens, %d accepted", len(tokens), accepted)
	if len(tokens) < 50 || accepted < 15 {
		t.Errorf("%d tokens, %d accepted: too few", len(tokens), accepted)
	}
}
