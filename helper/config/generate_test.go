package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/keystore"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
)

// generator makes configurations that are valid, of every kind.
type generator struct {
	*rand.Rand
	count int // keeps names apart
}

func (g *generator) maybe() bool { return g.IntN(2) == 0 }

func pick[T any](g *generator, from ...T) T { return from[g.IntN(len(from))] }

// some returns a list of least to least+2 values.
func some[T any](g *generator, least int, make func() T) []T {
	var all []T
	for range least + g.IntN(3) {
		all = append(all, make())
	}
	return all
}

// text is a string with whatever could be misread.
func (g *generator) text() string {
	g.count++
	nasty := []string{`"`, `\`, `${`, `}`, `%{`, "{", "\n", "\t", "\r", "#", "//", "<<EOF", "=", ",", " ", "é", "e\u0301", "😀", "\x1b", "\u202e", "\u00a0", "'", "$", "%", "", "true", "0644"}
	return fmt.Sprint("t", g.count, pick(g, nasty...), pick(g, nasty...), pick(g, nasty...))
}

func (g *generator) name() string {
	g.count++
	quoted := `"quoted"`
	if runtime.GOOS == "windows" {
		quoted = "'quoted'" // a name there holds no double quote
	}
	return fmt.Sprintf("n%d%s", g.count, pick(g, "", ".pem", " with space", "/sub/file", "é", "e\u0301", quoted, "${x}", "{trust_domain}"))
}

func (g *generator) mode() fs.FileMode {
	return pick[fs.FileMode](g, 0, 0, 0o600, 0o640, 0o444, 0o777, 1)
}

func (g *generator) duration() time.Duration {
	return pick(g, 0, time.Second, time.Hour, 90*time.Minute, 1500*time.Millisecond, 25*time.Hour+time.Nanosecond, 10*time.Minute)
}

func (g *generator) signal() syscall.Signal { return pick[syscall.Signal](g, 1, 2, 15, 28, 31) }

func (g *generator) id() spiffeid.ID {
	return pick(g, spiffeid.ID{}, spiffeid.RequireFromString("spiffe://example.org/a"), spiffeid.RequireFromString("spiffe://x.test"))
}

func (g *generator) domains() []spiffeid.TrustDomain {
	return pick(g, nil, []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("a.test")},
		[]spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("a.test"), spiffeid.RequireTrustDomainFromString("b.test")})
}

func optional[T any](g *generator, v T) T {
	var zero T
	if g.maybe() {
		return zero
	}
	return v
}

func (g *generator) file() encode.FileSpec {
	f := encode.FileSpec{Name: g.name()}
	f.Literal = f.Varies()
	if g.maybe() {
		f.Mode, f.Owner, f.Group = g.mode(), optional(g, g.text()), optional(g, g.text())
	}
	return f
}

// files names a file with a placeholder.
func (g *generator) files() encode.FileSpec {
	f := g.file()
	f.Name, f.Literal = pick(g, "{hint}", "{id}", "{index}")+f.Name, false
	return f
}

func (g *generator) config() *Config {
	c := &Config{
		AgentAddress:    pick(g, "", "unix:///run/a.sock", "tcp://127.0.0.1:80", "tcp://[::1]:80"),
		OnRevoked:       pick(g, source.OnRevokedKeep, source.OnRevokedRemove, source.OnRevokedStop),
		RevocationGrace: g.duration(),
		OneShot:         g.IntN(8) == 0,
		Timeout:         g.duration(),
		Events:          optional(g, g.text()),
		Outputs:         some(g, 1, g.output),
		Log:             Log{Level: pick(g, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError), JSON: g.maybe()},
	}
	if g.maybe() {
		c.Health = &Health{Address: pick(g, ":8081", "127.0.0.1:0", "[::]:80"), LivePath: "/l/" + pick(g, "é", "x"), ReadyPath: pick(g, "/", "/r"), LiveNeedsWrites: g.maybe()}
	}
	if c.OneShot {
		return c // which has no use for the rest
	}
	have := configuredKinds(c.Outputs)
	if g.maybe() {
		c.Process = g.process()
		c.Process.Target = g.target(have, proof.EscalateSignal, proof.EscalateRestart)
	}
	c.Hooks = some(g, 0, g.hook)
	for i := range c.Hooks {
		c.Hooks[i].Target = g.target(have, proof.EscalateSignal)
	}
	return c
}

func (g *generator) output() encode.Output {
	g.count++
	o := encode.Output{
		Spec: writer.Spec{
			Dir: fmt.Sprintf("%s%d", pick(g, "/run/", "rel ative/", `/q"uote/`, "./$", "/a/../"), g.count), Set: pick(g, "", "a-B_9"), Publish: pick(g, "", writer.ModeSymlink, writer.ModeRename, writer.ModeInPlace),
			Owner: optional(g, g.text()), Group: optional(g, g.text()), DirMode: g.mode(), NoFsync: g.maybe(),
		},
		FileMode: g.mode(), KeyMode: g.mode(),
		X509SVIDs: some(g, 0, g.x509SVID),
		JWTSVIDs:  some(g, 0, g.jwtSVID),
		WITSVIDs:  some(g, 0, g.witSVID),
		X509Bundles: some(g, 0, func() encode.X509Bundle {
			if g.maybe() {
				return g.trustStore(g.file(), g.domains())
			}
			return encode.X509Bundle{TrustDomains: g.domains(), File: g.file(), Format: pick(g, "", encode.FormatPEM, encode.FormatDER)}
		}),
		JWTBundles: some(g, 0, func() encode.JWTBundle {
			return encode.JWTBundle{TrustDomains: g.domains(), File: g.file(), Format: pick(g, "", encode.FormatMap, encode.FormatJWKS)}
		}),
		WITBundles: some(g, 0, func() encode.WITBundle {
			return encode.WITBundle{TrustDomains: g.domains()[:0], File: g.file(), Format: encode.FormatJWKS}
		}),
	}
	o.SPIFFEBundles = some(g, 0, g.spiffeBundle)
	if g.maybe() {
		o.Manifest = g.file()
		o.Templates = some(g, 0, func() encode.Template {
			g.count++
			one := encode.Template{File: encode.FileSpec{Name: fmt.Sprint("t", g.count, pick(g, "", "{id}")), Mode: g.mode(), Owner: optional(g, g.text()), Group: optional(g, g.text())}, From: "/etc/x.tmpl"}
			one.File.Literal = one.File.Varies()
			if g.maybe() {
				one.From, one.Text = "", pick(g, "{{ .dir }}", "a\n\"${b}\" {{ range .files }}{{ .name | json }}{{ end }}", "{{ token (index .identities 0) }}")
			}
			return one
		})
		o.Trust.Linger = g.duration()
		if o.Trust.First = g.maybe(); o.Trust.First {
			o.Trust.Lead = g.duration()
		}
	}
	if configuredKinds([]encode.Output{o}) == snapshot.KindNone {
		o.X509SVIDs = []encode.X509SVID{g.x509SVID()}
	}
	for i := range o.Templates {
		if t := &o.Templates[i]; t.Text != "" {
			if err := t.Compile(&o); err != nil {
				panic(err)
			}
		}
	}
	return o
}

func (g *generator) x509SVID() encode.X509SVID {
	x := encode.X509SVID{
		Select: g.selector(), Allow: pick(g, nil, []string{"spiffe://a/*", "spiffe://b"}),
		KeyEncoding: pick(g, encode.KeyPKCS8, encode.KeyTraditional), IntermediatesInBundle: g.maybe(), OmitExpired: g.maybe(),
	}
	file := g.file
	if x.Select.All {
		file = g.files
	}
	x.Cert, x.Bundle = file(), file()
	if g.maybe() {
		x.Key, x.Combined, x.CRL = file(), file(), file()
		x.PKCS12, x.JKS = g.keystore(file()), g.keystore(file())
		x.JKS.Encryption = "" // which is of PKCS#12
		if x.JKS.Secret == (encode.Secret{}) {
			x.JKS.Password = "changeit"
		}
		store := g.trustStore(file(), nil)
		x.Truststore, x.Hints = &store, g.file()
	} else if g.maybe() {
		x.Combined, x.CRL, x.Encoding = encode.FileSpec{}, encode.FileSpec{}, encode.EncodingDER
	}
	if x.KeyEncoding == encode.KeyPKCS8 && x.Key.Wanted() {
		x.KeySecret = pick(g, encode.Secret{}, encode.Secret{Password: g.password()}, encode.Secret{PasswordFile: g.text()})
	}
	if x.Federated = pick(g, encode.FederatedNone, encode.FederatedMerge, encode.FederatedSeparate); x.Federated == encode.FederatedSeparate {
		x.FederatedFile = g.file()
		x.FederatedFile.Name, x.FederatedFile.Literal = x.FederatedFile.Name+pick(g, "{trust_domain}", "{index}.{n}"), false
	}
	return x
}

func (g *generator) keystore(file encode.FileSpec) *encode.Keystore {
	k := &encode.Keystore{File: file, Root: g.maybe()}
	if k.Encryption = pick(g, keystore.Modern, keystore.Legacy, keystore.None); k.Encryption == keystore.None {
		return k
	}
	if g.maybe() {
		k.Password, k.Alias = g.password(), optional(g, g.password())
		return k
	}
	k.PasswordFile = g.text()
	return k
}

// password is a text without control characters, which passwords and aliases do not
// have, nor characters that Java's keystores do not.
func (g *generator) password() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return 'x'
		}
		return r
	}, g.text())) + "x"
}

func (g *generator) trustStore(file encode.FileSpec, tds []spiffeid.TrustDomain) encode.X509Bundle {
	b := encode.X509Bundle{File: file, TrustDomains: tds, Format: pick(g, encode.FormatPKCS12, encode.FormatJKS), Secret: encode.Secret{Password: g.password()}}
	switch {
	case b.Format == encode.FormatPKCS12 && g.maybe():
		b.Secret, b.Encryption = encode.Secret{}, keystore.None
	case b.Format == encode.FormatPKCS12:
		b.Encryption = keystore.Legacy
	case g.maybe():
		b.Secret = encode.Secret{PasswordFile: g.text()}
	}
	return b
}

func (g *generator) spiffeBundle() encode.SPIFFEBundle {
	b := encode.SPIFFEBundle{TrustDomains: g.domains(), File: g.file(), Format: encode.FormatMap, Authorities: pick(g, nil, []encode.Authority{"wit", "x509"}, []encode.Authority{"jwt"})}
	if g.maybe() {
		b.TrustDomains = []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("one.example")}
		b.Format, b.RefreshHint = "", pick(g, 0, time.Second, time.Hour)
	}
	return b
}

func (g *generator) selector() encode.Selector {
	if g.IntN(4) == 0 {
		return encode.Selector{All: true}
	}
	return encode.Selector{Hint: optional(g, g.text()), ID: g.id()}
}

func (g *generator) jwtSVID() encode.JWTSVID {
	return encode.JWTSVID{Audience: some(g, 1, g.text), ID: g.id(), Hint: optional(g, g.text()), File: g.file()}
}

func (g *generator) witSVID() encode.WITSVID {
	w := encode.WITSVID{Select: g.selector(), Token: g.file(), Key: g.file()}
	if w.Select.All {
		w.Token, w.Key = g.files(), g.files()
	}
	return w
}

func (g *generator) process() *Process {
	p := &Process{Spec: supervisor.Spec{
		Command: append([]string{g.text()}, some(g, 0, g.text)...), Dir: optional(g, g.text()),
		Env:  some(g, 0, func() string { return strings.ReplaceAll(g.text(), "=", "") + "=" + optional(g, g.text()) }),
		User: optional(g, g.text()), Group: optional(g, g.text()), PassFDs: pick(g, nil, []int{3}, []int{9, 4}), NoNewPrivs: g.maybe(), Subreaper: g.maybe(),
		OnRotation: pick(g, supervisor.Rotation{Signal: g.signal()}, supervisor.Rotation{Action: supervisor.RotationRestart}, supervisor.Rotation{Action: supervisor.RotationNone}),
		Splay:      g.duration(), MinInterval: g.duration(), Restart: pick(g, supervisor.RestartNever, supervisor.RestartOnFailure, supervisor.RestartAlways, supervisor.RestartOnRotation),
		StopTimeout: g.duration(), SignalGroup: g.maybe(),
	}, NoStartFromDisk: g.maybe(), Notify: g.maybe(), StartWithout: pick(g, snapshot.KindNone, snapshot.KindJWT, snapshot.KindJWT|snapshot.KindWIT)}
	if g.maybe() {
		p.MaxRestarts, p.RestartWindow, p.StopSignal = 1+g.IntN(9), time.Second+g.duration(), g.signal()
		p.SignalRewrite = map[syscall.Signal]syscall.Signal{15: g.signal(), 1: 0}
	}
	return p
}

func (g *generator) hook() Hook {
	g.count++
	h := Hook{Spec: hook.Spec{Name: fmt.Sprint(g.text(), g.count), Splay: g.duration(), MinInterval: g.duration()}}
	switch g.IntN(3) {
	case 0:
		h.Command, h.Timeout, h.Retries = []string{g.text(), ""}, g.duration(), g.IntN(5)
	case 1:
		h.PIDFile, h.Signal = g.text(), optional(g, g.signal())
	case 2:
		h.ProcessName, h.Owner, h.Signal = g.text(), optional(g, g.text()), optional(g, g.signal())
	}
	return h
}

func (g *generator) target(have snapshot.Kind, escalations ...proof.Escalation) Target {
	t := Target{On: pick(g, snapshot.KindX509, snapshot.KindBundle|snapshot.KindWIT, snapshot.KindJWT, everyKind)}
	if !have.Has(t.On) {
		t.On = have
	}
	if have.Has(snapshot.KindX509) && g.maybe() {
		t.Proof = &proof.Config{TLS: pick(g, "localhost:443", "[::1]:1", "unix:///x y"), StartTLS: pick(g, "", proof.StartTLSMySQL, proof.StartTLSSMTP, proof.StartTLSIMAP, proof.StartTLSLDAP),
			ServerName: optional(g, g.text()), ALPN: some(g, 0, g.text), Timeout: g.duration(), OnFailure: escalations[:g.IntN(len(escalations)+1)],
			ClientCA: t.On.Has(snapshot.KindBundle) && g.maybe(), Workers: g.IntN(proof.MaxWorkers + 1)}
		if g.maybe() {
			t.Proof.Command = []string{g.text(), ""}
		}
	}
	return t
}

// TestPrintIsParsedBack prints generated configurations and reads them back. It
// sees to it that every field of a Config was something at least once.
func TestPrintIsParsedBack(t *testing.T) {
	set := map[string]bool{}
	incomplete := func() bool {
		return slices.Contains(slices.Collect(maps.Values(set)), false)
	}
	// Beyond the seeds, until every field was something, which is rare for some.
	for seed := uint64(0); seed < seeds || seed < 20*seeds && incomplete(); seed++ {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 7))}
		c := g.config()
		markSet(set, "Config", reflect.ValueOf(*c))
		delete(set, "Config.Outputs.X509SVIDs.FederatedFile.Literal") // it needs a placeholder
		delete(set, "Config.Outputs.X509SVIDs.JKS.Encryption")        // it is of PKCS#12
		delete(set, "Config.Outputs.X509SVIDs.Truststore.TrustDomains")
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { checkRoundTrip(t, c) })
	}
	for path, is := range set {
		if !is {
			t.Errorf("%s is never generated", path)
		}
	}
	t.Logf("%d fields printed and read back", len(set))
}

// markSet notes the fields within v, and whether they are something.
func markSet(set map[string]bool, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			markSet(set, path, v.Elem())
		}
	case reflect.Struct:
		if _, opaque := v.Interface().(fmt.Stringer); opaque {
			return
		}
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			field := path + "." + v.Type().Field(i).Name
			set[field] = set[field] || !v.Field(i).IsZero()
			markSet(set, field, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			markSet(set, path, v.Index(i))
		}
	}
}

// flatFile writes a drop-in file twice: plainly, and with every liberty that
// HCL 1 allows. Both must mean the same.
func (g *generator) flatFile() (plain, liberal string) {
	var a, b strings.Builder
	boolean := func() string { return pick(g, "true", "false") }
	str := func() string { return quote(g.text()) }
	mode := func() string { return pick(g, "0644", "0x1a4", "384", `"0600"`, `"0o640"`, "0") }
	keys := []struct {
		key   string
		value func() string
	}{
		{"cmd", str}, {"cmd_args", func() string { return quote(pick(g, "a b", `-c "x y" z`, "")) }}, {"renew_signal", func() string { return pick(g, `"SIGHUP"`, `"QUIT"`, "15") }},
		{"pid_file_name", str}, {"cert_dir", func() string { return quote(pick(g, "/run/tls", "rel", "", "/x//y/")) }}, {"hint", str},
		{"svid_file_name", func() string { return quote(g.name()) }}, {"svid_key_file_name", func() string { return quote("/" + g.name()) }}, {"svid_bundle_file_name", func() string { return quote(g.name()) }},
		{"jwt_bundle_file_name", func() string { return quote(g.name()) }},
		{"cert_file_mode", mode}, {"key_file_mode", mode}, {"jwt_bundle_file_mode", mode}, {"jwt_svid_file_mode", mode},
		{"include_federated_domains", boolean}, {"omit_expired", boolean}, {"add_intermediates_to_bundle", boolean},
		{"agent_address", func() string { return quote(pick(g, "/a.sock", "unix:///a.sock", "tcp://1.2.3.4:5")) }},
	}
	gap := func() string { return pick(g, " ", "", "\n", "\t", " /* x */ ", " # y\n", "\r\n", "// z\n") }
	for _, k := range keys {
		value := k.value()
		fmt.Fprintf(&a, "%s = %s\n", k.key, value)
		if g.IntN(5) == 0 { // an earlier one, which does not count
			fmt.Fprintf(&b, "%s = %s\n", k.key, k.value())
		}
		key := k.key
		if g.maybe() {
			key = strings.ToUpper(key)
		}
		if g.IntN(3) == 0 {
			key = `"` + key + `"`
		}
		literal := strings.ReplaceAll(value, `\u0024`, "$")
		if strings.Contains(literal, "${") { // which needs its brace
			literal = value
		}
		b.WriteString(key + gap() + "=" + gap() + literal + pick(g, "\n", " ", ",", "\r\n"))
	}
	jwts := some(g, 0, func() [3]string { return [3]string{str(), str(), quote(g.name())} })
	a.WriteString("jwt_svids = [")
	b.WriteString("\nJwt_Svids" + gap() + "=" + gap() + "[")
	for i, j := range jwts {
		fmt.Fprintf(&a, "{ jwt_audience = %s, jwt_extra_audiences = [%s, \"x\"], jwt_svid_file_name = %s },", j[0], j[1], j[2])
		if i > 0 {
			b.WriteString(pick(g, ",", " ,", ",\n", ",,", "\n,"))
		}
		sep := func() string { return pick(g, ",", "\n", " ", " , ") }
		b.WriteString("{" + gap() + `"jwt_audience"=` + j[0] + sep() + "jwt_extra_audiences" + gap() + "= [" + gap() + j[1] + gap() + "," + gap() + `"x",]` + sep() + "JWT_svid_file_name=" + j[2] + gap() + "}")
	}
	a.WriteString("]\n")
	b.WriteString(pick(g, "", ",") + "]" + gap())
	port := pick(g, "80", `"0x50"`, "0120")
	fmt.Fprintf(&a, "health_checks {\n listener_enabled = true\n bind_port = %s\n}\n", port)
	b.WriteString("health_checks" + pick(g, "", "=", " = ", "\n") + "{" + gap() + "bind_port=" + port + pick(g, ",", "\n", " ") + `listener_enabled = "true"` + gap() + "}" + gap())
	return a.String(), b.String()
}

func TestLibertiesOfHCL1ChangeNothing(t *testing.T) {
	for seed := range uint64(seeds) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 11))}
		plain, liberal := g.flatFile()
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			want, _ := mustParse(t, plain)
			got, _ := mustParse(t, liberal)
			if d := diff(want, got); d != "" {
				t.Errorf("the configurations differ (-plain +liberal):\n%s\n%s\n---\n%s", d, plain, liberal)
			}
		})
	}
}
