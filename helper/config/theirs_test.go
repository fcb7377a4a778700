package config

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl"
	hcl1 "github.com/hashicorp/hcl/hcl/token"
	"github.com/svidhelper/svidhelper/helper/encode"

	"github.com/svidhelper/svidhelper/supervisor"
)

// theirs is what spiffe-helper decodes a file into, by the library that it
// uses; the rules are those that it was seen to apply.
type theirs struct {
	AgentAddress  string     `hcl:"agent_address"`
	Cmd           string     `hcl:"cmd"`
	CmdArgs       string     `hcl:"cmd_args"`
	PIDFile       string     `hcl:"pid_file_name"`
	CertDir       string     `hcl:"cert_dir"`
	CertMode      int        `hcl:"cert_file_mode"`
	KeyMode       int        `hcl:"key_file_mode"`
	JWTBundleMode int        `hcl:"jwt_bundle_file_mode"`
	JWTSVIDMode   int        `hcl:"jwt_svid_file_mode"`
	Federated     bool       `hcl:"include_federated_domains"`
	OmitExpired   bool       `hcl:"omit_expired"`
	Intermediates bool       `hcl:"add_intermediates_to_bundle"`
	RenewSignal   string     `hcl:"renew_signal"`
	DaemonMode    *bool      `hcl:"daemon_mode"`
	Hint          string     `hcl:"hint"`
	SVIDName      string     `hcl:"svid_file_name"`
	KeyName       string     `hcl:"svid_key_file_name"`
	BundleName    string     `hcl:"svid_bundle_file_name"`
	JWTSVIDs      []theirJWT `hcl:"jwt_svids"`
	JWTBundle     string     `hcl:"jwt_bundle_file_name"`
	Health        theirCheck `hcl:"health_checks"`
	Unused        theirKeys  `hcl:",unusedKeyPositions"`
}

type theirJWT struct {
	Audience string    `hcl:"jwt_audience"`
	Extra    []string  `hcl:"jwt_extra_audiences"`
	File     string    `hcl:"jwt_svid_file_name"`
	Unused   theirKeys `hcl:",unusedKeyPositions"`
}

type theirCheck struct {
	Enabled bool   `hcl:"listener_enabled"`
	Port    int    `hcl:"bind_port"`
	Live    string `hcl:"liveness_path"`
	Ready   string `hcl:"readiness_path"`
}

type theirKeys map[string][]hcl1.Pos

// readTheirs returns what spiffe-helper makes of src.
func readTheirs(src string) (c *theirs, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panics: %v", p)
		}
	}()
	c = &theirs{}
	if err := hcl.Decode(c, src); err != nil {
		return nil, err
	}
	return c, c.check()
}

func (c *theirs) check() error {
	names := 0
	for _, name := range []string{c.SVIDName, c.KeyName, c.BundleName} {
		if name != "" {
			names++
		}
	}
	files := map[string]bool{}
	twice := false
	for _, name := range append([]string{c.SVIDName, c.KeyName, c.BundleName, c.JWTBundle}, c.tokens()...) {
		full := path.Join(c.CertDir, name)
		twice = twice || name != "" && files[full]
		files[full] = true
	}
	for _, j := range c.JWTSVIDs {
		if j.Audience == "" || j.File == "" || len(j.Unused) > 0 {
			return errors.New("an entry of jwt_svids")
		}
	}
	signal := c.Cmd != "" && !c.oneShot() || c.PIDFile != ""
	_, badArgs := c.argv()
	_, badSignal := supervisor.ParseSignal(c.RenewSignal)
	switch {
	case twice:
		return errors.New("there one file overwrites another, here that is an error")
	case len(c.Unused) > 0:
		return fmt.Errorf("unknown keys %v", c.Unused)
	case names == 1 || names == 2 || names == 0 && len(c.JWTSVIDs) == 0 && c.JWTBundle == "":
		return errors.New("names")
	case c.PIDFile != "" && (c.RenewSignal == "" || c.oneShot()):
		return errors.New("pid_file_name")
	case c.CertMode < 0 || c.KeyMode < 0 || c.JWTBundleMode < 0 || c.JWTSVIDMode < 0, c.Health.Enabled && c.Health.Port < 0:
		return errors.New("a number is negative")
	case c.Cmd != "" && !c.oneShot() && badArgs != nil, signal && c.RenewSignal != "" && badSignal != nil:
		return errors.New("found there when it is used, here at the start")
	}
	return nil
}

func (c *theirs) tokens() (names []string) {
	for _, j := range c.JWTSVIDs {
		names = append(names, j.File)
	}
	return names
}

func (c *theirs) oneShot() bool { return c.DaemonMode != nil && !*c.DaemonMode }

func (c *theirs) argv() ([]string, error) {
	if c.CmdArgs == "" {
		return []string{c.Cmd}, nil
	}
	r := csv.NewReader(strings.NewReader(c.CmdArgs))
	r.Comma = ' '
	args, err := r.Read()
	return append([]string{c.Cmd}, args...), err
}

// A meaning is what a file comes down to, in one line a thing.
type meaning []string

func (m *meaning) add(format string, args ...any) { *m = append(*m, fmt.Sprintf(format, args...)) }

func (c *theirs) meaning() (m meaning) {
	or := func(mode, usual int) int {
		if mode == 0 {
			return usual
		}
		return mode & 0o777
	}
	if c.SVIDName != "" {
		m.add("cert %s %o intermediates %v", path.Join(c.CertDir, c.SVIDName), or(c.CertMode, 0o644), c.Intermediates)
		m.add("key %s %o", path.Join(c.CertDir, c.KeyName), or(c.KeyMode, 0o600))
		m.add("bundle %s %o intermediates %v federated %v expired %v", path.Join(c.CertDir, c.BundleName), or(c.CertMode, 0o644), c.Intermediates, c.Federated, c.OmitExpired)
		m.add("hint %q", c.Hint)
	}
	for _, j := range c.JWTSVIDs {
		extra := slices.DeleteFunc(slices.Clone(j.Extra), func(s string) bool { return s == "" })
		m.add("token %s %o %q %q", path.Join(c.CertDir, j.File), or(c.JWTSVIDMode, 0o600), append([]string{j.Audience}, extra...), c.Hint)
	}
	if c.JWTBundle != "" {
		m.add("jwks %s %o", path.Join(c.CertDir, c.JWTBundle), or(c.JWTBundleMode, 0o600))
	}
	m.add("once %v", c.oneShot())
	if c.oneShot() {
		return m
	}
	sig, _ := supervisor.ParseSignal(c.RenewSignal)
	if c.Cmd != "" {
		argv, _ := c.argv()
		m.add("argv %q signal %d", argv, sig)
	}
	if c.PIDFile != "" {
		m.add("pid %s signal %d", c.PIDFile, sig)
	}
	if h := c.Health; h.Enabled {
		m.add("health :%d %s %s", or0(h.Port, 8081), or0(h.Live, "/live"), or0(h.Ready, "/ready"))
	}
	return m
}

func or0[T comparable](v, usual T) T {
	var zero T
	if v == zero {
		return usual
	}
	return v
}

// meaning is that of ours, in the same words.
func (c *Config) meaning() (m meaning) {
	var cert, key, bundle, tokens, sets meaning
	for _, o := range c.Outputs {
		file := func(f encode.FileSpec, usual int) string {
			return fmt.Sprintf("%s %o", path.Join(o.Dir, f.Name), or0(int(f.Mode), usual))
		}
		for _, x := range o.X509SVIDs {
			if x.Cert.Wanted() {
				cert.add("cert %s intermediates %v", file(x.Cert, 0o644), x.IntermediatesInBundle)
			}
			if x.Key.Wanted() {
				key.add("key %s", file(x.Key, 0o600))
			}
			if x.Bundle.Wanted() {
				bundle.add("bundle %s intermediates %v federated %v expired %v", file(x.Bundle, 0o644), x.IntermediatesInBundle, x.Federated == encode.FederatedMerge, x.OmitExpired)
				bundle.add("hint %q", x.Select.Hint)
			}
		}
		for _, j := range o.JWTSVIDs {
			tokens.add("token %s %q %q", file(j.File, 0o600), j.Audience, j.Hint)
		}
		for _, j := range o.JWTBundles {
			sets.add("jwks %s", file(j.File, 0o600))
		}
	}
	m = slices.Concat(cert, key, bundle, tokens, sets)
	m.add("once %v", c.OneShot)
	if c.Process != nil {
		m.add("argv %q signal %d", c.Process.Command, c.Process.OnRotation.Signal)
	}
	for _, h := range c.Hooks {
		m.add("pid %s signal %d", h.PIDFile, h.Signal)
	}
	if h := c.Health; h != nil {
		m.add("health %s %s %s", h.Address, h.LivePath, h.ReadyPath)
	}
	return m
}

// A setting is a key and a value that it may have, as HCL 1 and as JSON.
type setting struct{ key, hcl, json string }

// settings are every key with every quirk.
func settings() (all []setting) {
	add := func(key string, values ...string) {
		for _, v := range values {
			h, j, ok := strings.Cut(v, " || ")
			if !ok {
				j = h
			}
			all = append(all, setting{key, h, j})
		}
	}
	for _, key := range []string{"cert_file_mode", "key_file_mode", "jwt_bundle_file_mode", "jwt_svid_file_mode"} {
		add(key, "0640 || 416", "0x1a4 || 420", `"0600"`, `"0o644"`, "444", "0", "-1", `"rw"`, "1.5", "07777 || 4095")
	}
	for _, key := range []string{"include_federated_domains", "omit_expired", "add_intermediates_to_bundle", "daemon_mode"} {
		add(key, "true", "false", "1")
	}
	for _, key := range []string{"svid_file_name", "svid_key_file_name", "svid_bundle_file_name"} {
		add(key, `"n.pem"`, `"/opt/n.pem"`, `"sub/./n.pem"`, `"../n.pem"`, `""`)
	}
	add("cert_dir", `"/run/certs/"`, `"rel//dir"`, `""`, `"."`, `"/"`)
	add("jwt_bundle_file_name", `"jwks.json"`, `"/opt/jwks.json"`, `""`)
	add("hint", `"h"`, "5", `"a ${b} %{c}"`, `"\t\"é\u00e9"`, "<<E\nx\nE\n || \"x\\n\"", "true", `""`, `["x"]`)
	add("agent_address", `"/run/a.sock"`, `""`)
	add("cmd", `"nginx"`, `"/bin/${x}"`, `""`)
	add("cmd_args", `"-c \"a b\" c"`, `"-c \"\"q\"\""`, `"a  b"`, `"'a b' $x \\ *"`, `"\"open"`, `""`)
	add("renew_signal", `"SIGHUP"`, `"SIGUSR1"`, `"SIGNOPE"`, `""`)
	add("pid_file_name", `"/run/x.pid"`, `""`)
	add("jwt_svids", `[{jwt_audience="a", jwt_svid_file_name="a.jwt"}] || [{"jwt_audience":"a","jwt_svid_file_name":"a.jwt"}]`,
		`[{jwt_audience="a"
jwt_extra_audiences=["b", 5, ""]
JWT_SVID_file_name="/opt/a.jwt",},,] || [{"jwt_audience":"a","jwt_extra_audiences":["b",5,""],"JWT_SVID_file_name":"/opt/a.jwt"}]`,
		`[{jwt_audience="a", jwt_svid_file_name="a.jwt"}, {"jwt_audience"="b", jwt_svid_file_name="b.jwt"}] || [{"jwt_audience":"a","jwt_svid_file_name":"a.jwt"},{"jwt_audience":"b","jwt_svid_file_name":"b.jwt"}]`,
		`[{jwt_audience="a"}] || [{"jwt_audience":"a"}]`, `[{jwt_audience="a", jwt_svid_file_name="f", zip=1}] || [{"jwt_audience":"a","jwt_svid_file_name":"f","zip":1}]`, `[]`)
	add("health_checks", `{ listener_enabled = true } || {"listener_enabled": true}`, `{ listener_enabled = true, bind_port = "0x50", liveness_path = "/l" } || {"listener_enabled":true,"bind_port":"0x50","liveness_path":"/l"}`,
		`{ bind_port = -1 } || {"bind_port": -1}`, `{
listener_enabled = true
bind_port = -1
} || {"listener_enabled":true,"bind_port":-1}`, `{} || {}`)
	add("zip", "1")
	add("certDir", `"x"`)
	return all
}

// write writes settings in the n-th of several manners.
func write(n int, all []setting) string {
	var b strings.Builder
	if n%7 == 6 {
		b.WriteString("{")
		for i, s := range all {
			fmt.Fprintf(&b, "%s%q: %s", []string{"", ",\n"}[min(i, 1)], s.key, s.json)
		}
		return b.String() + "}"
	}
	for i, s := range all {
		key, sep := s.key, " = "
		switch n % 7 {
		case 1:
			key = strings.ToUpper(key)
		case 2:
			if s.key != "zip" && s.key != "certDir" { // a quoted key that is unknown passes silently there
				key = `"` + key + `"`
			}
		case 3:
			sep = "= // c\n"
		case 4:
			b.WriteString("/* x */ ")
		case 5:
			if s.key == "health_checks" {
				sep = ""
			}
		}
		b.WriteString(key + sep + s.hcl)
		b.WriteString([]string{"\n", ",\n", " # c\n", "\r\n"}[(n+i)%4])
	}
	return b.String()
}

// TestEveryPairOfSettings writes files with each setting, and with each two of
// them, and sees that what spiffe-helper accepts is accepted, and means the
// same. What ours accepts beyond that is counted.
func TestEveryPairOfSettings(t *testing.T) {
	names := []setting{{"svid_file_name", `"svid.pem"`, `"svid.pem"`}, {"svid_key_file_name", `"key.pem"`, `"key.pem"`}, {"svid_bundle_file_name", `"ca.pem"`, `"ca.pem"`}}
	all := settings()
	files, accepted, refused, more := 0, 0, 0, map[string]int{}
	try := func(some ...setting) {
		src := write(files, append(slices.Clone(names), some...))
		files++
		want, err := readTheirs(src)
		c, ds := parseOn("linux", src)
		switch {
		case err != nil && c != nil:
			more[err.Error()]++
		case err != nil:
			refused++
		case c == nil:
			t.Errorf("spiffe-helper accepts\n%s\nand here it is\n%v", src, ds)
		default:
			accepted++
			if d := cmp.Diff(want.meaning(), c.meaning()); d != "" {
				t.Errorf("the meaning differs (-spiffe-helper +ours):\n%s\n%s", d, src)
			}
		}
	}
	try()
	for i, a := range all {
		try(a)
		for _, b := range all[i:] {
			try(a, b)
			if t.Failed() && files > 200 {
				t.Fatal("and so on")
			}
		}
	}
	if files < 5000 {
		t.Errorf("only %d files", files)
	}
	t.Logf("%d files: %d accepted with the same meaning, %d refused by both; accepted here only: %v", files, accepted, refused, more)
}
