package check_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/svidhelper/svidhelper/helper/check"
)

// TestNothingReachesTheTerminal: what a file says never reaches a terminal as a
// command, in neither form of the report.
func TestNothingReachesTheTerminal(t *testing.T) {
	evil := "\x1b[2J\a\u009b31m\u202e\x7f"
	root := newRoot(t)
	key := keyFor(t, "EC P-256", "leaf")
	subject := pair{nil, key, nil}
	c := leaf(func(c *certificate) { c.Subject.CommonName = evil; c.Subject.Organization = []string{evil} })
	subject.chain = []*certificate{sign(t, c, key.Public(), root)}
	ca := authority(evil, func(c *certificate) { c.IsCA = false })
	subject.bundle = []*certificate{sign(t, ca, key.Public(), root)}
	set := subject.set(t)
	set[0].Path = "svid" + evil
	set = append(set,
		check.File{Path: "token", Data: []byte(spoiled{
			header: members{"kid": evil, evil: evil, "typ": evil}, claims: members{"sub": evil, "aud": evil, evil: evil},
		}.jwt(t, "ES256"))},
		check.File{Path: "bundle.json", Data: []byte(`{"keys":[{"kty":` + quote(evil) + `,"kid":` + quote(evil) + `}],"spiffe_sequence":1}`)},
		check.File{Path: "map.json", Data: []byte(`{` + quote(evil) + `:` + quote(evil) + `}`)},
		check.File{Path: "garbage", Data: []byte(evil)},
	)
	r := look(set)
	var text, asJSON bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&asJSON); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), asJSON.String()} {
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q reaches the terminal", out[max(0, i-40):min(len(out), i+40)])
		}
	}
	var back check.Report
	if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || back.Files[0].File != "svid"+evil {
		t.Errorf("the JSON says %q of the first file: %v", back.Files[0].File, err)
	}
	for _, secret := range []string{"PRIVATE", base64.StdEncoding.EncodeToString(set[1].Data)[:20], string(set[3].Data[:60])} {
		if strings.Contains(text.String()+asJSON.String(), secret) {
			t.Errorf("%q is in the report", secret)
		}
	}
}

func quote(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

// TestAnyBytes: files of every kind with bytes missing, changed and repeated are
// checked, and none of them is good.
func TestAnyBytes(t *testing.T) {
	root := newRoot(t)
	key := keyFor(t, "EC P-256", "leaf")
	good := pair{[]*certificate{sign(t, leaf(), key.Public(), root)}, key, []*certificate{root.cert}}.set(t)
	password := "changeit"
	files := []check.File{
		good[0], good[1], good[2],
		{Path: "token", Data: []byte(spoiled{}.jwt(t, "ES256"))},
		{Path: "bundle.json", Data: tokenAuthorities(t, "jwt-svid")},
		{Path: "p12", Data: newPKCS12(t, password), Want: check.Want{Password: &password}},
		{Path: "jks", Data: newJKS(t, password), Want: check.Want{Password: &password}},
	}
	for _, f := range files {
		if r := look(check.Set{f}); !r.Usable {
			t.Errorf("%s: %v", f.Path, findings(r))
		}
		for at := 0; at < len(f.Data); at += 1 + len(f.Data)/60 {
			for _, data := range [][]byte{f.Data[:at], append(bytes.Clone(f.Data[:at]), f.Data[at/2:]...), flipped(f.Data, at)} {
				g := f
				g.Data = data
				var out bytes.Buffer
				if err := look(check.Set{g}).WriteJSON(&out); err != nil {
					t.Errorf("%s with its byte %d changed: %v", f.Path, at, err)
				}
			}
		}
		if r := look(check.Set{{Path: f.Path, Data: f.Data[:len(f.Data)/2], Want: f.Want}}); r.Usable {
			t.Errorf("half of %s is good: %v", f.Path, r.Files[0].Findings)
		}
	}
}

func flipped(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 0x41
	return out
}

// TestBounded: what would take long, or much memory, is refused instead.
func TestBounded(t *testing.T) {
	password := "x"
	for name, f := range map[string]check.File{
		"a million keys":        {Data: []byte(`{"keys":[` + strings.Repeat("1,", 1<<20) + `1]}`)},
		"deep JSON":             {Data: []byte(`{"keys":` + strings.Repeat("[", 1<<20))},
		"a long key":            {Data: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: make([]byte, 1<<20)})},
		"a token of megabytes":  {Data: []byte("eyJ" + strings.Repeat("A", 4<<20) + ".e.e")},
		"dots":                  {Data: []byte("eyJ" + strings.Repeat(".", 4<<20))},
		"a JKS of four billion": {Data: append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff}, make([]byte, 20)...), Want: check.Want{Password: &password}},
		"a JKS that says it has a chain of four billion": {Data: append(bytes.Clone(newJKS(t, "y")[:12]), bytes.Repeat([]byte{0xff}, 100)...), Want: check.Want{Password: &password}},
	} {
		began := time.Now()
		if r := look(check.Set{f}); r.Usable {
			t.Errorf("%s: %v", name, r.Files[0].Findings)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestKeystores: PKCS#12 and JKS are opened with their password and checked as
// files are; with another password, or none, they are not.
func TestKeystores(t *testing.T) {
	password, wrong := "changeit", "changeme"
	for name, data := range map[string][]byte{"PKCS#12": newPKCS12(t, password), "JKS": newJKS(t, password)} {
		r := look(check.Set{{Path: name, Data: data, Mode: 0o600, Want: check.Want{Kind: check.Keystore, Password: &password}}})
		if !r.Usable || worst(r) != check.OK || r.Files[0].SPIFFEID != "spiffe://example.org/web" {
			t.Errorf("%s: %v", name, findings(r))
		}
		if f, _ := finding(r, "X509-SVID 5.1"); f.Level != check.OK {
			t.Errorf("%s: the chain: %v", name, f)
		}
		r = look(check.Set{{Path: name, Data: data, Want: check.Want{Password: &wrong}}})
		if r.Usable {
			t.Errorf("%s is opened with another password: %v", name, r.Files[0].Findings)
		}
		r = look(check.Set{{Path: name, Data: data}})
		if !r.Usable || worst(r) != check.Warning || r.Files[0].Kind != check.Keystore {
			t.Errorf("%s without a password: %v", name, r.Files[0].Findings)
		}
	}
}

func keystorePair(t testing.TB) (p pair, root issuer) {
	root = newRoot(t)
	inter := root.intermediate(t)
	key := keyFor(t, "EC P-256", "leaf")
	return pair{[]*certificate{sign(t, leaf(), key.Public(), inter), inter.cert}, key, []*certificate{root.cert}}, root
}

func newPKCS12(t testing.TB, password string) []byte {
	p, root := keystorePair(t)
	data, err := pkcs12.Modern.Encode(p.key, p.chain[0], []*certificate{p.chain[1], root.cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newJKS(t testing.TB, password string) []byte {
	p, root := keystorePair(t)
	block, _ := pem.Decode(keyPEM(t, p.key))
	ks := keystore.New(keystore.WithOrderedAliases())
	entry := keystore.PrivateKeyEntry{CreationTime: now, PrivateKey: block.Bytes, CertificateChain: []keystore.Certificate{
		{Type: "X.509", Content: p.chain[0].Raw}, {Type: "X.509", Content: p.chain[1].Raw}}}
	if err := ks.SetPrivateKeyEntry("web", entry, []byte(password)); err != nil {
		t.Fatal(err)
	}
	if err := ks.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: now, Certificate: keystore.Certificate{Type: "X.509", Content: root.cert.Raw}}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := ks.Store(&out, []byte(password)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzCheck: whatever is in a file, there is a printable report.
func FuzzCheck(f *testing.F) {
	for _, s := range append(jwtSamples(f)[:3], bundleSamples(f)...) {
		f.Add(s.set[0].Data)
	}
	for _, file := range combined(f, func() pair { p, _ := keystorePair(f); return p }()) {
		f.Add(file.Data)
	}
	f.Add(newPKCS12(f, "x"))
	f.Add(newJKS(f, "x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var password *string // a PKCS#12 file is not opened: each could take until the patience ends
		if bytes.HasPrefix(data, []byte{0xfe, 0xed}) {
			password = new("x")
		}
		var text, asJSON bytes.Buffer
		r := look(check.Set{{Path: "file", Data: data, Want: check.Want{Password: password}}})
		if err := r.WriteText(&text); err != nil {
			t.Error(err)
		}
		if err := r.WriteJSON(&asJSON); err != nil {
			t.Error(err)
		}
		if strings.ContainsFunc(text.String()+asJSON.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("not printable: %q", text.String())
		}
	})
}

// TestManyFiles: a directory of many SVIDs and keys takes no time that grows with
// the square of them.
func TestManyFiles(t *testing.T) {
	root := newRoot(t)
	var set check.Set
	for range 400 {
		key := newKey(t, "EC P-256")
		p := pair{[]*certificate{sign(t, leaf(), key.Public(), root)}, key, []*certificate{root.cert}}.set(t)
		set = append(set, p[0], p[1])
	}
	set = append(set, check.File{Path: "ca.pem", Data: certsPEM(root.cert)})
	began := time.Now()
	r := look(set)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if !r.Usable || worst(r) != check.OK {
		t.Errorf("%v", findings(r))
	}
}
