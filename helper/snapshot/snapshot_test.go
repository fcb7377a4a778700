package snapshot

import (
	"slices"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

func TestJWTRequestIsWhatItWasMadeOf(t *testing.T) {
	id := spiffeid.RequireFromString("spiffe://example.org/web")
	for _, audience := range [][]string{{"a"}, {"a", "b"}, {"b", "a"}, {"a,b"}, {"with space", "ünïcode"}} {
		r := NewJWTRequest(audience, id, "h")
		if got := r.Audience(); !slices.Equal(got, audience) {
			t.Errorf("audience %q, want %q", got, audience)
		}
		if r.ID != id || r.Hint != "h" {
			t.Errorf("%q: SPIFFE ID %s, hint %q", audience, r.ID, r.Hint)
		}
	}
}

func TestJWTRequestsAreEqualIfAllOfThemIs(t *testing.T) {
	id := spiffeid.RequireFromString("spiffe://example.org/web")
	all := []JWTRequest{
		NewJWTRequest([]string{"a"}, spiffeid.ID{}, ""),
		NewJWTRequest([]string{"a"}, spiffeid.ID{}, "h"),
		NewJWTRequest([]string{"a"}, id, ""),
		NewJWTRequest([]string{"a", "b"}, spiffeid.ID{}, ""),
		NewJWTRequest([]string{"a,b"}, spiffeid.ID{}, ""),
		NewJWTRequest([]string{"b"}, spiffeid.ID{}, ""),
	}
	for i, a := range all {
		for j, b := range all {
			if (a == b) != (i == j) {
				t.Errorf("%d and %d: equal is %v", i, j, a == b)
			}
			if (a.Compare(b) == 0) != (i == j) || a.Compare(b) != -b.Compare(a) {
				t.Errorf("%d and %d: compare %d and %d", i, j, a.Compare(b), b.Compare(a))
			}
		}
	}
	same := NewJWTRequest([]string{"a"}, id, "")
	if same != all[2] {
		t.Error("two requests for the same differ")
	}
}

func TestKindNames(t *testing.T) {
	for kind, name := range map[Kind]string{KindX509: "x509", KindBundle: "bundle", KindJWT: "jwt", KindWIT: "wit"} {
		if got := kind.String(); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
	if got := (KindWIT | KindX509).String(); got != "x509,wit" {
		t.Errorf("got %q", got)
	}
	if got := KindNone.String(); got != "none" {
		t.Errorf("got %q", got)
	}
	if !(KindX509 | KindJWT).Has(KindJWT|KindWIT) || KindX509.Has(KindJWT) || KindX509.Has(KindNone) {
		t.Error("Has is wrong about what two sets share")
	}
}
