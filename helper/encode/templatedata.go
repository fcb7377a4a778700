package encode

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/companion"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A view is what templates are rendered of.
type view struct {
	output     *Output
	identities []Identity
	snapshot   *snapshot.Snapshot
}

// data is what a template sees, by the names that the manifest has for it. There is no
// secret in it.
func (m *view) data(set Set) map[string]any {
	data := map[string]any{"dir": m.output.Dir}
	identities, files := []any{}, []any{}
	for number, id := range m.identities {
		one := m.identity(number, id)
		identities = append(identities, one)
		if name := string(id.Selection.Block); data[name] == nil {
			data[name] = one
		}
	}
	for i, f := range set.Files {
		files = append(files, map[string]any{
			"name": f.Name, "path": filepath.Join(m.output.Dir, f.Name), "mode": fmt.Sprintf("%04o", f.Mode),
			"kinds": set.Uses[i].Kind.Names(), "private": set.Uses[i].Private,
		})
	}
	data["identities"], data["files"] = identities, files
	return data
}

func (m *view) identity(number int, id Identity) map[string]any {
	paths := map[string]string{}
	for role, f := range m.output.roles(id.Selection) {
		for _, name := range id.Files {
			if f.Matches(name) {
				paths[role] = filepath.Join(m.output.Dir, name)
				break
			}
		}
	}
	return map[string]any{
		"number": number, "kind": string(id.Selection.Block), "spiffe_id": id.ID.String(), "trust_domain": id.ID.TrustDomain().Name(),
		"path": id.ID.Path(), "hint": id.Hint, "audience": slices.Clone(id.Audience), "serial": id.Serial,
		"not_before": moment{id.NotBefore}, "not_after": moment{id.NotAfter}, "paths": paths, "claims": claimsOf(m.token(id)),
	}
}

// roles are the files of an SVID, by the keys of the configuration.
func (o *Output) roles(sel Selection) map[string]FileSpec {
	switch sel.Block {
	case BlockX509SVID:
		x := &o.X509SVIDs[sel.Index]
		return map[string]FileSpec{
			"cert": x.Cert, "key": x.Key, "bundle": x.Bundle, "combined": x.Combined, "crl": x.CRL, "pkcs12": x.PKCS12.file(), "jks": x.JKS.file(),
			"truststore": x.truststoreFile(), "hints": x.Hints,
		}
	case BlockJWTSVID:
		return map[string]FileSpec{"file": o.JWTSVIDs[sel.Index].File}
	case BlockWITSVID:
		return map[string]FileSpec{"token": o.WITSVIDs[sel.Index].Token, "key": o.WITSVIDs[sel.Index].Key}
	}
	return nil
}

// A moment is printed as RFC 3339 says; the zero moment is empty.
type moment struct{ time.Time }

func (m moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.UTC().Format(time.RFC3339)
}

// token is the token of a JWT- or WIT-SVID; empty: it has none.
func (m *view) token(id Identity) string {
	if m.snapshot == nil {
		return ""
	}
	switch id.Selection.Block {
	case BlockJWTSVID:
		if svid := m.snapshot.JWTSVIDs[m.output.JWTSVIDs[id.Selection.Index].Request()]; svid != nil {
			return svid.Token
		}
	case BlockWITSVID:
		if svid := m.wit(id); svid != nil {
			return svid.Token
		}
	}
	return ""
}

func (m *view) wit(id Identity) *snapshot.WITSVID {
	if m.snapshot.WIT == nil {
		return nil
	}
	for _, svid := range m.snapshot.WIT.SVIDs {
		if svid.ID == id.ID && svid.Hint == id.Hint {
			return svid
		}
	}
	return nil
}

func (m *view) x509(id Identity) *snapshot.X509SVID {
	if m.snapshot.X509 == nil || id.Selection.Block != BlockX509SVID {
		return nil
	}
	for i := range m.snapshot.X509.SVIDs {
		if svid := &m.snapshot.X509.SVIDs[i]; svid.ID == id.ID && svid.Hint == id.Hint {
			return svid
		}
	}
	return nil
}

// claimsOf are the claims of a token that was checked when it was received.
func claimsOf(token string) map[string]any {
	claims := map[string]any{}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims
	}
	if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
		d := json.NewDecoder(strings.NewReader(string(payload)))
		d.UseNumber() // a time is no floating-point number
		_ = d.Decode(&claims)
	}
	return claims
}

// functions are those that print what the data do not have.
func (m *view) functions() companion.Functions {
	of := func(print func(Identity) (string, error)) func(map[string]any) (string, error) {
		return func(one map[string]any) (string, error) {
			number, is := one["number"].(int)
			if !is || number >= len(m.identities) {
				return "", errors.New("this is no identity: write .x509_svid, say")
			}
			return print(m.identities[number])
		}
	}
	return companion.Functions{
		"token": of(func(id Identity) (string, error) {
			if t := m.token(id); t != "" {
				return t, nil
			}
			return "", errors.New("an X.509-SVID has no token")
		}),
		"key": of(m.key),
		"cert": of(func(id Identity) (string, error) {
			if svid := m.x509(id); svid != nil {
				return string(encodeCerts(svid.Certificates, EncodingPEM)), nil
			}
			return "", errNoX509
		}),
		"bundle": of(func(id Identity) (string, error) {
			if svid := m.x509(id); svid != nil {
				return string(encodeCerts(svid.Bundle.X509Authorities(), EncodingPEM)), nil
			}
			return "", errNoX509
		}),
	}
}

var errNoX509 = errors.New("only an X.509-SVID has that")

// key is a private key in PEM, or that of a WIT-SVID as a JWK.
func (m *view) key(id Identity) (string, error) {
	if svid := m.x509(id); svid != nil {
		label, der, err := keyDER(svid.PrivateKey, m.output.X509SVIDs[id.Selection.Index].KeyEncoding)
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})), err
	}
	if id.Selection.Block == BlockWITSVID {
		if svid := m.wit(id); svid != nil {
			key, err := witKey(svid)
			return string(key), err
		}
	}
	return "", errors.New("a JWT-SVID has no private key")
}

// declared are the functions as the parser, and the look at a sample, need them.
var declared = func() companion.Functions {
	print := func(map[string]any) string { return "sample" }
	return companion.Functions{"token": print, "key": print, "cert": print, "bundle": print}
}()

// sampleData are data as a template of the output can see them: every identity and
// every file that is configured, once.
func sampleData(o *Output) map[string]any {
	m := &view{output: o}
	var set Set
	for f, use := range o.uses() {
		set.Files, set.Uses = append(set.Files, (&encoding{Encoder: &Encoder{output: o}}).file(FileSpec{Name: sample(f)}, use.Private, nil)), append(set.Uses, use)
	}
	for sel := range o.Selections() {
		id := Identity{Selection: sel, Kind: o.kind(sel), ID: spiffeid.RequireFromString("spiffe://example.org/sample"), Hint: "sample", Serial: "01", NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}
		for _, f := range o.roles(sel) {
			if f.Wanted() {
				id.Files = append(id.Files, sample(f))
			}
		}
		if len(o.roles(sel)) > 0 {
			m.identities = append(m.identities, id)
		}
	}
	return m.data(set)
}
