package config

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
	"github.com/svidhelper/svidhelper/helper/trust"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
)

// everything uses each key of the native dialect once.
const everything = `
agent_address    = "unix:///run/spire/agent.sock"
timeout          = "90s"
on_revoked       = "stop"
revocation_grace = "1h"
events           = "/var/log/events.jsonl"

output "/run/tls" {
  publish   = "rename"
  set       = "nginx-1"
  owner     = "root"
  group     = 101
  file_mode = 0644
  key_mode  = "0640"
  dir_mode  = "0x1ed"
  fsync     = false
  manifest  = "manifest.json"

  bundle_first  = true
  bundle_lead   = "5s"
  bundle_linger = "1h"

  template "sds.json" {
    from  = "/etc/sds.json.tmpl"
    mode  = "0640"
    owner = "envoy"
    group = "33"
  }

  template "names.conf" {
    content = "{{ .x509_svid.serial }}\n{{ token .jwt_svid }}"
  }

  x509_svid {
    hint   = "internal"
    allow  = ["spiffe://example.org/*"]
    cert   = "tls.crt"
    key    = { file = "private/tls.key", mode = 0400, owner = "nginx", group = "nginx" }
    bundle = "ca.crt"
    combined { file = "all.pem" }
    crl    = "crl.pem"
    pkcs12 {
      file          = "tls.p12"
      password_file = "/run/password"
      alias         = "server"
      encryption    = "legacy"
      root          = true
    }
    jks {
      file     = { file = "tls.jks", mode = "0600" }
      password = "changeit"
    }
    key_encoding            = "traditional"
    federated_bundles       = "separate"
    federated_file          = "federated/{trust_domain}.pem"
    intermediates_in_bundle = true
    omit_expired            = true
  }
  x509_svid {
    spiffe_id         = "spiffe://example.org/web"
    cert              = "web.crt"
    federated_bundles = "none"
    key_encoding      = "pkcs8"
  }
  x509_svid {
    all   = true
    cert  = "{index}/{hint}.crt"
    key   = "{id}.key"
    hints = "hints.json"
    encoding          = "der"
    key_password_file = "/run/password"
    truststore {
      file       = "{index.}trust.p12"
      format     = "pkcs12"
      encryption = "none"
    }
  }
  jwt_svid {
    audience  = ["vault", "db"]
    file      = "vault.jwt"
    spiffe_id = "spiffe://example.org/web"
    hint      = "internal"
  }
  jwt_svid {
    audience = "one"
    file     = "one.jwt"
  }
  wit_svid {
    hint  = "w"
    token = "wit.jwt"
    key   = "wit.key"
  }
  x509_bundle {
    file          = "all-cas.pem"
    trust_domains = ["example.org", "spiffe://example.com"]
    format        = "pem"
  }
  jwt_bundle {
    file          = "jwks.json"
    trust_domains = "example.org"
    format        = "spiffe"
  }
  wit_bundle {
    file   = "wit.json"
    format = "jwks"
  }
  x509_bundle {
    file     = "trust.jks"
    format   = "jks"
    password = "changeit"
  }
  spiffe_bundle {
    file          = "{trust_domain}.json"
    authorities   = ["x509", "wit"]
    refresh_hint  = "10m"
  }
}

output "certificates" {
  dir = "certs"
  x509_svid {}
}

output "/run/spiffe" {
  layout = "spiffe"
  spiffe_bundle {
    file   = "map.json"
    format = "map"
  }
}

output "/run/agent" {
  layout = "spire-agent"
  x509_svid {
    combined     = "all.pem"
    key_password = "secret"
  }
}

process {
  command        = ["nginx", "-g", "daemon off;", ""]
  on_rotation    = "INT"
  on             = ["x509", "jwt"]
  preset         = "nginx" # of which nothing is left
  splay          = "2m"
  min_interval   = "10s"
  restart        = "on-failure"
  max_restarts   = 3
  restart_window = "1m"
  stop_signal    = "SIGQUIT"
  stop_timeout   = "1m30s"
  signal_rewrite = { SIGTERM = "SIGQUIT", "HUP" = "none", "10" = 12 }
  signal_group   = true
  user           = "nginx"
  group          = 33
  env            = { A = "b", "with space" = 5, "A.B" = true, EMPTY = "" }
  dir            = "/srv"
  start_without  = ["wit"]
  start_from_disk = false
  notify         = true
  pass_fds       = [3, 7]
  no_new_privs   = true
  subreaper      = true

  proof {
    tls         = "127.0.0.1:8443"
    starttls    = "postgres"
    server_name = "db.example.org"
    alpn        = ["postgresql"]
    timeout     = "5s"
    on_failure  = ["signal", "restart"]
  }
}

hook "haproxy" {
  command = ["systemctl", "reload", "haproxy"]
  timeout = "30s"
  retries = 2
  on      = "bundle"
  splay   = "10s"
  proof {
    tls = "unix:///run/haproxy.sock"
    client_ca = true
    workers = 4
    command = ["check-haproxy", ""]
    on_failure = "signal"
  }
}

hook "pgbouncer" {
  pid_file = "/run/pgbouncer.pid"
  signal   = "SIGHUP"
}

hook "exim" {
  process_name = "exim4"
  owner        = "root"
  min_interval = "1m"
  signal       = 1
}

health {
  address    = "127.0.0.1:8081"
  live_path  = "/alive"
  ready_path = "/usable"
  live_needs_writes = true
}

log {
  level  = "debug"
  format = "json"
}
`

func everythingWant() *Config {
	web := spiffeid.RequireFromString("spiffe://example.org/web")
	named := func(name string) encode.FileSpec { return encode.FileSpec{Name: name} }
	return &Config{
		AgentAddress:    "unix:///run/spire/agent.sock",
		Timeout:         90 * time.Second,
		OnRevoked:       source.OnRevokedStop,
		RevocationGrace: time.Hour,
		Events:          "/var/log/events.jsonl",
		Outputs: []encode.Output{{
			Spec:     writer.Spec{Dir: "/run/tls", Set: "nginx-1", Publish: writer.ModeRename, Owner: "root", Group: "101", DirMode: 0o755, NoFsync: true},
			Manifest: named("manifest.json"),
			Trust:    trust.Policy{First: true, Lead: 5 * time.Second, Linger: time.Hour},
			Templates: []encode.Template{
				{File: encode.FileSpec{Name: "sds.json", Mode: 0o640, Owner: "envoy", Group: "33"}, From: "/etc/sds.json.tmpl"},
				{File: named("names.conf"), Text: "{{ .x509_svid.serial }}\n{{ token .jwt_svid }}", Kind: snapshot.KindX509 | snapshot.KindJWT, Private: true},
			},
			FileMode: 0o644, KeyMode: 0o640,
			X509SVIDs: []encode.X509SVID{{
				Select: encode.Selector{Hint: "internal"}, Allow: []string{"spiffe://example.org/*"},
				Cert: named("tls.crt"), Bundle: named("ca.crt"), Combined: named("all.pem"), CRL: named("crl.pem"),
				Key:         encode.FileSpec{Name: "private/tls.key", Mode: 0o400, Owner: "nginx", Group: "nginx"},
				PKCS12:      &encode.Keystore{File: named("tls.p12"), Secret: encode.Secret{PasswordFile: "/run/password"}, Alias: "server", Encryption: keystore.Legacy, Root: true},
				JKS:         &encode.Keystore{File: encode.FileSpec{Name: "tls.jks", Mode: 0o600}, Secret: encode.Secret{Password: "changeit"}},
				KeyEncoding: encode.KeyTraditional, Federated: encode.FederatedSeparate, FederatedFile: named("federated/{trust_domain}.pem"),
				IntermediatesInBundle: true, OmitExpired: true,
			}, {
				Select: encode.Selector{ID: web}, Cert: named("web.crt"),
			}, {
				Select: encode.Selector{All: true}, Cert: named("{index}/{hint}.crt"), Key: named("{id}.key"),
				Hints: named("hints.json"), Encoding: encode.EncodingDER, KeySecret: encode.Secret{PasswordFile: "/run/password"},
				Truststore: &encode.X509Bundle{File: named("{index.}trust.p12"), Format: encode.FormatPKCS12, Encryption: keystore.None},
			}},
			JWTSVIDs: []encode.JWTSVID{
				{Audience: []string{"vault", "db"}, File: named("vault.jwt"), ID: web, Hint: "internal"},
				{Audience: []string{"one"}, File: named("one.jwt")},
			},
			WITSVIDs: []encode.WITSVID{{Select: encode.Selector{Hint: "w"}, Token: named("wit.jwt"), Key: named("wit.key")}},
			X509Bundles: []encode.X509Bundle{{File: named("all-cas.pem"), Format: encode.FormatPEM,
				TrustDomains: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("example.org"), spiffeid.RequireTrustDomainFromString("example.com")}},
				{File: named("trust.jks"), Format: encode.FormatJKS, Secret: encode.Secret{Password: "changeit"}}},
			JWTBundles: []encode.JWTBundle{{File: named("jwks.json"), Format: encode.FormatSPIFFE,
				TrustDomains: []spiffeid.TrustDomain{spiffeid.RequireTrustDomainFromString("example.org")}}},
			WITBundles:    []encode.WITBundle{{File: named("wit.json"), Format: encode.FormatJWKS}},
			SPIFFEBundles: []encode.SPIFFEBundle{{File: named("{trust_domain}.json"), Authorities: []encode.Authority{"x509", "wit"}, RefreshHint: 10 * time.Minute}},
		}, {
			Spec:      writer.Spec{Dir: "certs"},
			X509SVIDs: []encode.X509SVID{{Cert: named("svid.pem"), Key: named("svid_key.pem"), Bundle: named("svid_bundle.pem")}},
		}, {
			Spec: writer.Spec{Dir: "/run/spiffe"},
			X509SVIDs: []encode.X509SVID{{Select: encode.Selector{All: true},
				Combined: named("{index.}credential-bundle.private-key.x509.pem"), Hints: named("hints.json")}},
			X509Bundles:   []encode.X509Bundle{{File: named("{trust_domain}.spiffe-trust-bundle.x509.pem")}},
			SPIFFEBundles: []encode.SPIFFEBundle{{File: named("map.json"), Format: encode.FormatMap}},
		}, {
			Spec: writer.Spec{Dir: "/run/agent"},
			X509SVIDs: []encode.X509SVID{{Combined: named("all.pem"), KeySecret: encode.Secret{Password: "secret"}}, {
				Select: encode.Selector{All: true}, Cert: named("svid.{index}.pem"), Key: named("svid.{index}.key"), Bundle: named("bundle.{index}.pem"),
				Federated: encode.FederatedSeparate, FederatedFile: named("federated_bundle.{index}.{n}.pem"),
			}},
		}},
		Process: &Process{supervisor.Spec{
			Command:    []string{"nginx", "-g", "daemon off;", ""},
			OnRotation: supervisor.Rotation{Signal: mustSignal("INT")},
			Splay:      2 * time.Minute, MinInterval: 10 * time.Second, Restart: supervisor.RestartOnFailure, MaxRestarts: 3, RestartWindow: time.Minute,
			StopSignal: mustSignal("QUIT"), StopTimeout: 90 * time.Second, SignalGroup: true,
			SignalRewrite: map[syscall.Signal]syscall.Signal{mustSignal("TERM"): mustSignal("QUIT"), mustSignal("HUP"): 0, 10: 12},
			User:          "nginx", Group: "33", Env: []string{"A=b", "with space=5", "A.B=true", "EMPTY="}, Dir: "/srv",
			PassFDs: []int{3, 7}, NoNewPrivs: true, Subreaper: true,
		}, Target{On: snapshot.KindX509 | snapshot.KindJWT, Proof: &proof.Config{
			TLS: "127.0.0.1:8443", StartTLS: proof.StartTLSPostgres, ServerName: "db.example.org", ALPN: []string{"postgresql"}, Timeout: 5 * time.Second,
			OnFailure: []proof.Escalation{proof.EscalateSignal, proof.EscalateRestart},
		}}, snapshot.KindWIT, true, true},
		Hooks: []Hook{{
			hook.Spec{Name: "haproxy", Command: []string{"systemctl", "reload", "haproxy"}, Timeout: 30 * time.Second, Retries: 2, Splay: 10 * time.Second},
			Target{On: snapshot.KindBundle, Proof: &proof.Config{TLS: "unix:///run/haproxy.sock", ClientCA: true, Workers: 4, Command: []string{"check-haproxy", ""}, OnFailure: []proof.Escalation{proof.EscalateSignal}}},
		}, {
			hook.Spec{Name: "pgbouncer", PIDFile: "/run/pgbouncer.pid", Signal: mustSignal("HUP")}, Target{On: defaultKinds},
		}, {
			hook.Spec{Name: "exim", ProcessName: "exim4", Owner: "root", MinInterval: time.Minute, Signal: mustSignal("HUP")}, Target{On: defaultKinds},
		}},
		Health: &Health{Address: "127.0.0.1:8081", LivePath: "/alive", ReadyPath: "/usable", LiveNeedsWrites: true},
		Log:    Log{Level: slog.LevelDebug, JSON: true},
	}
}

func mustSignal(name string) syscall.Signal {
	sig, err := supervisor.ParseSignal(name)
	if err != nil {
		panic(err)
	}
	return sig
}

func TestNativeGrammar(t *testing.T) {
	c, ds := mustParse(t, everything)
	if d := diff(everythingWant(), c); d != "" {
		t.Errorf("the configuration differs (-want +got):\n%s", d)
	}
	if len(ds) > 0 {
		t.Errorf("unexpected warnings:\n%v", ds)
	}
}

func TestEveryNativeKeyIsTested(t *testing.T) {
	for _, b := range everyBlock() {
		for _, f := range b.fields {
			if !f.flat && !strings.Contains(everything, f.key+" ") {
				t.Errorf("%s in %s is not tested", f.key, b.name)
			}
			if !f.flat && f.doc == "" {
				t.Errorf("%s in %s has no documentation", f.key, b.name)
			}
		}
	}
}

func TestNativeJSON(t *testing.T) {
	const src = `{
	"output": {
		"/run/tls": {"x509_svid": {}, "jwt_svid": [{"audience": "a", "file": "a.jwt"}, {"audience": ["b"], "file": {"file": "b.jwt", "mode": "0640"}}]},
		"/run/more": {"x509_svid": [{"cert": "c"}]}
	},
	"process": {"command": ["x"], "on_rotation": "none", "env": {"A": "\ud83d\ude00"}, "signal_rewrite": {"SIGTERM": "none"}, "proof": [{"tls": "[::1]:1"}]},
	"hook": [{"a": {"command": ["y"]}}, {"b": {"pid_file": "/p"}}],
	"log": {"level": "warn"},
	"timeout": null
}`
	const native = `
output "/run/tls" {
  x509_svid {}
  jwt_svid {
    audience = ["a"]
    file = "a.jwt"
  }
  jwt_svid {
    audience = ["b"]
    file = { file = "b.jwt", mode = 0640 }
  }
}
output "/run/more" {
  x509_svid { cert = "c" }
}
process {
  command = ["x"]
  on_rotation = "none"
  env { A = "😀" }
  signal_rewrite { SIGTERM = "none" }
  proof { tls = "[::1]:1" }
}
hook "a" { command = ["y"] }
hook "b" { pid_file = "/p" }
log { level = "warn" }
`
	fromJSON, _ := mustParse(t, src)
	fromNative, _ := mustParse(t, native)
	if d := diff(fromNative, fromJSON); d != "" {
		t.Errorf("JSON differs from HCL (-HCL +JSON):\n%s", d)
	}
}

func TestBothDialectsInOneFile(t *testing.T) {
	c, _ := mustParse(t, `
cmd = "nginx"
renew_signal = "SIGHUP"
cert_dir = "/run/flat"
`+x509Names+`
output "/run/native" {
  x509_svid {}
}
hook "h" { command = ["x"] }
log { level = "error" }
`)
	if len(c.Outputs) != 2 || filepath.ToSlash(c.Outputs[0].Dir) != "/run/native" || filepath.ToSlash(c.Outputs[1].Dir) != "/run/flat" || c.Process == nil || len(c.Hooks) != 1 {
		t.Errorf("got %+v", c)
	}
}

// wrap puts lines into the block that they belong in, beside what makes the
// file complete.
var wraps = map[string]string{
	"root":      "output \"/d\" {\n x509_svid {}\n}\n%",
	"output":    "output \"/d\" {\n x509_svid {}\n%\n}",
	"bare":      "output \"/d\" {\n%\n}",
	"x509_svid": "output \"/d\" {\n x509_svid {\n%\n}\n}",
	"process":   "output \"/d\" {\n x509_svid {}\n}\nprocess {\n command = [\"x\"]\n%\n}",
	"hook":      "output \"/d\" {\n x509_svid {}\n}\nhook \"h\" {\n%\n}",
	"health":    "output \"/d\" {\n x509_svid {}\n}\nhealth {\n%\n}",
	"file":      "%",
}

func TestNativeErrors(t *testing.T) {
	for _, c := range []struct {
		in, src string
		want    string // in the diagnostic; several parts are separated by |
	}{
		{"root", `timeout = "-1s"`, "timeout|negative"},
		{"root", `timeout = 30`, `timeout|a string with a unit|write timeout = "30s"`},
		{"root", `timeout = "soon"`, `"soon" is not a duration`},
		{"root", `timeout = ["1s"]`, `want a duration, not a list`},
		{"root", `timeout = five minutes`, `want a duration, not text without quotes`},
		{"root", strings.Repeat("a { ", 40) + strings.Repeat("}", 40), "nested more than 32 deep"},
		{"root", "timeout = \"1s\"\ntimeout = \"2s\"", "5:1|timeout is given twice, first in line 4"},
		{"root", `timeout "x" {}`, "timeout is not a block"},
		{"root", `on_revoked = "delete"`, `"delete" is not known here|keep, remove and stop`},
		{"root", `on_revoked = "stopp"`, `did you mean stop?`},
		{"root", `events = ""`, "events|is empty"},
		{"root", `Events = "x"`, `unknown key "Events"|it is spelled events`},
		{"root", `agent_address = "http://x"`, `"http" is not a scheme`},
		{"root", `agent_address = "tcp://localhost:80"`, "must be an IP and a port"},
		{"root", `agent_address = "tcp://127.0.0.1"`, "must be an IP and a port"},
		{"root", `agent_address = "unix://run/agent.sock"`, "three slashes"},
		{"root", `agent_address = "agent.sock"`, "must be absolute"},
		{"root", `agent_address = "npipe:x"`, "named pipes are for Windows"},
		{"root", "log {}\nlog {}", "log is given twice"},
		{"root", `log { level = "verbose" }`, "level|debug, info, warn and error"},
		{"root", `log = "info"`, "log: this is a block, not a string|write log { … }"},
		{"root", `log "x" { }`, "log has no label"},
		{"root", `on_rotation = "SIGHUP"`, "it belongs in process"},
		{"root", `owner = "x"`, "it belongs in output"},
		{"root", `cert_dir = "/x"`, "cert_dir has no effect on the output blocks"},
		{"root", `key_file_mode = "0640"`, "key_file_mode has no effect"},
		{"root", "process { command = [\"x\"] }\ncmd_args = \"y\"", "cmd_args and process (line 4) say the same thing twice"},
		{"root", "process { command = [\"x\"] }\nrenew_signal = \"SIGHUP\"", "renew_signal and process"},
		{"root", "health { }\nhealth_checks { }", "health_checks and health"},
		{"root", "hook \"pid_file_name\" { command = [\"x\"] }\npid_file_name = \"/p\"\nrenew_signal = \"HUP\"", `hook "pid_file_name" is there twice`},
		{"root", `output "/d/" {
  x509_svid {}
}`, `is there twice, first in line 1`},
		{"root", `output "" {
  x509_svid {}
}`, "needs a directory"},
		{"root", `output {
  x509_svid {}
}`, `write output "/run/tls"`},
		{"root", `output "a" "b" {
  x509_svid {}
}`, "output has one label, a directory"},
		{"root", `output = "a"`, "this is a block"},
		{"file", `output "/d" { }`, `output "/d" holds nothing`},
		{"file", `process { command = ["x"] }`, "nothing to write"},
		{"file", `output "/d" {
  x509_svid {}
}
process {}`, "process has no command|after --"},
		{"file", `output "/d" {
  x509_svid {}
}
process { command = ["x"] }`, `helper.conf:4:1: error: the process needs on_rotation, which has no default|"SIGHUP"|"restart"|"none"`},
		{"output", `publish = "atomic"`, "symlink, rename and in-place"},
		{"output", `owner = ""`, "owner|is empty"},
		{"output", `file_mode = 1000`, "file_mode|1000 is not a mode"},
		{"output", `file_mode = 644`, "file_mode|644 is not a mode|write 0644"},
		{"output", `file_mode = "rw-r--r--"`, "file_mode|want a mode in octal"},
		{"output", `fsync = "no"`, "fsync|want true or false"},
		{"output", `template "a" { }`, `a template needs one of from and content|write from = `},
		{"output", `template "a" {
 content = "x"
 from = "y"
}`, `a template needs one of from and content`},
		{"output", `template "a" { content = "" }`, `content: is empty|name its file: from`},
		{"output", `template "../a" { content = "x" }`, `leads out of the output's directory`},
		{"output", `template { content = "x" }`, `template needs a file as its label|template "companion.json" { … }`},
		{"output", `template "svid.pem" { content = "x" }`, `template: "svid.pem" is already the name of cert`},
		{"output", "template \"a\" {\n content = <<EOT\none\n{{ if }}\nEOT\n}", `template: a:2: missing value for if`},
		{"output", `template "a" { content = "{{ exec \"rm\" }}" }`, `template: a:1: function "exec" not defined`},
		{"output", `template "a" { content = "{{ .x509_svid.serail }}" }`, `a:1:13: <.x509_svid.serail>: map has no entry for key "serail"`},
		{"output", `template "a" { content = "{{ .jwt_svid.serial }}" }`, `map has no entry for key "jwt_svid"`},
		{"output", `template "a" { content = "{{ .x509_svid.paths.combined }}" }`, `no entry for key "combined"`},
		{"output", `bundle_lead = "1s"`, `bundle_lead is for bundle_first|write bundle_first = true`},
		{"output", `bundle_linger = "-1s"`, `a duration cannot be negative`},
		{"output", `manifest = { mode = 0640 }`, `manifest names no file|{ file = "…", mode = "0640" }`},
		{"output", `manifest = { name = "x" }`, `unknown key "name" in file|its keys are file, group, literal, mode and owner`},
		{"output", `manifest = ""`, "manifest|is empty"},
		{"output", `manifest = "svid.pem"`, `"svid.pem" is already the name of cert`},
		{"output", `manifest = "svid.pem/x"`, `cannot be a file and the directory of`},
		{"output", `jwt_svid { file = "x" }`, "jwt_svid needs audience"},
		{"output", `jwt_svid { audience = "x" }`, "jwt_svid needs file"},
		{"output", `jwt_svid {
  audience = []
  file = "x"
}`, "audience|the list is empty"},
		{"output", `jwt_svid {
  audience = [""]
  file = "x"
}`, "audience|an element is empty"},
		{"output", `wit_svid { token = "x" }`, "wit_svid needs key"},
		{"output", `x509_bundle { }`, "x509_bundle needs file"},
		{"output", `x509_bundle {
  file = "x"
  format = "jwks"
}`, `"jwks" is not known here`},
		{"output", `jwt_bundle {
  file = "x"
  format = "pem"
}`, `"pem" is not known here`},
		{"output", `jwt_bundle {
  file = "x"
  format = "spiffe"
}`, "exactly one trust domain"},
		{"output", `jwt_bundle {
  file = "x"
  trust_domains = ["Example Org"]
}`, `trust domain "Example Org"`},
		{"output", `jwt_bundle {
  file = "x"
  trust_domains = ["a", "a"]
}`, `"a" is given twice`},
		{"output", "manifest = \"m/a\"\njwt_bundle { file = \"m\" }", `"m" is the directory of other files`},
		{"output", `x509_svid { }`, `"svid.pem" is already the name of cert`},
		{"x509_svid", `spiffe_id = "example.org/x"`, "is not a SPIFFE ID"},
		{"x509_svid", "all = true\nhint = \"x\"", "leave out hint and spiffe_id"},
		{"output", `manifest = "{id}.json"`, `manifest: {id} means nothing in "{id}.json"|literal = true`},
		{"output", `manifest = { file = "{n}" }`, `manifest: {n} means nothing`},
		{"output", `x509_bundle { file = "{id}.pem" }`, `file: {id} means nothing|use {trust_domain}`},
		{"output", `jwt_bundle { file = "{hint}" }`, `file: {hint} means nothing`},
		{"output", `wit_bundle { file = "{index}" }`, `file: {index} means nothing`},
		{"output", "jwt_svid {\n  audience = [\"a\"]\n  file = \"{index}.jwt\"\n}", `file: {index} means nothing|use {trust_domain}, {id} or {hint}`},
		{"output", "wit_svid {\n  token = \"{n}.jwt\"\n  key = \"k\"\n}", `token: {n} means nothing`},
		{"x509_svid", `cert = "{n}.pem"`, `cert: {n} means nothing|use {trust_domain}, {id}, {hint}, {index} or {index.}`},
		{"x509_svid", `jks {
  file = "{n}"
  password = "x"
}`, `file: {n} means nothing`},
		{"x509_svid", "federated_bundles = \"separate\"\nfederated_file = \"{trust_domain}{hint}\"", `federated_file: {hint} means nothing|use {trust_domain}, {index} or {n}`},
		{"x509_svid", "all = true\ncert = { file = \"{hint}\", literal = true }", "needs {hint}, {id} or {index}"},
		{"x509_svid", `all = true`, "needs {hint}, {id} or {index}"},
		{"x509_svid", `allow = ["example.org"]`, "does not start with spiffe://"},
		{"x509_svid", `cert = 5.5.5/x`, "cert|needs double quotes"},
		{"x509_svid", `cert = "/x"`, "relative to the output's directory"},
		{"x509_svid", `cert = ".."`, "leads out"},
		{"x509_svid", `cert = "a/../../b"`, "leads out"},
		{"x509_svid", `cert = "..data"`, `starts with ".."`},
		{"x509_svid", `cert = "a/..x"`, `starts with ".."`},
		{"x509_svid", `cert = "./a"`, `has the element "."|write "a"`},
		{"x509_svid", `cert = "a//b"`, `write "a/b"`},
		{"x509_svid", `cert = "a/"`, `write "a"`},
		{"x509_svid", `cert = "."`, `has the element "."`},
		{"x509_svid", `cert = "a\tb"`, "control character"},
		{"x509_svid", `cert = "` + strings.Repeat("a", 256) + `"`, "255 is the most"},
		{"x509_svid", `cert = "` + strings.Repeat("a/", 2048) + `a"`, "1024 is the most"},
		{"x509_svid", `key_encoding = "sec1"`, "pkcs8 and traditional"},
		{"x509_svid", `federated_bundles = true`, "federated_bundles|want a string"},
		{"x509_svid", "federated_bundles = \"separate\"\nfederated_file = \"x.pem\"", "needs {trust_domain} or {n}"},
		{"x509_svid", `federated_file = "{trust_domain}.pem"`, "is for separate bundles"},
		{"x509_svid", "federated_bundles = \"merge\"\ncert = \"c\"", "no bundle to merge"},
		{"x509_svid", "federated_bundles = \"merge\"\npkcs12 {\nfile = \"k\"\npassword = \"x\"\n}", "federated_bundles|no bundle to merge|x509_bundle"},
		{"x509_svid", "federated_bundles = \"merge\"\njks {\nfile = \"k\"\npassword = \"changeit\"\n}\ntruststore {\nfile = \"t\"\nformat = \"jks\"\npassword = \"changeit\"\n}", "no bundle to merge"},
		{"x509_svid", `pkcs12 { password = "x" }`, "pkcs12 needs file"},
		{"x509_svid", `pkcs12 { file = "x" }`, "one of password and password_file"},
		{"x509_svid", `jks {
  file = "x"
  password = "y"
  password_file = "z"
}`, "one of password and password_file"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n}", `encryption = "none"`},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n encryption = \"none\"\n password = \"y\"\n}", "has no password|leave it out"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n encryption = \"rc4\"\n password = \"y\"\n}", "modern, legacy and none"},
		{"x509_svid", "jks {\n file = \"x\"\n encryption = \"none\"\n}", "unknown key"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n password = \"y\"\n alias = \"\"\n}", "alias|is empty"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n password = \"y\"\n alias = \"a\\tb\"\n}", "alias|control characters"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n password = \"y\"\n alias = \"" + strings.Repeat("é", 128) + "\"\n}", "alias|at most 255 bytes"},
		{"x509_svid", "pkcs12 {\n file = \"x\"\n password = \"y\\n\"\n}", "password|control character"},
		{"x509_svid", "jks {\n file = \"x\"\n password = \"пароль\"\n}", "password|beyond U+00FF"},
		{"x509_svid", "jks {\n file = \"../x\"\n password = \"y\"\n}", "leads out of the output's directory"},
		{"x509_svid", "truststore {\n file = \"x\"\n password = \"y\"\n}", `truststore needs format`},
		{"x509_svid", "truststore {\n file = \"x\"\n format = \"pem\"\n}", "pkcs12 and jks"},
		{"x509_svid", "truststore {\n file = \"x\"\n format = \"jks\"\n}", "one of password and password_file"},
		{"x509_svid", "truststore {\n file = \"x\"\n format = \"jks\"\n encryption = \"none\"\n}", "encryption is for PKCS#12"},
		{"x509_svid", `encoding = "base64"`, "pem and der"},
		{"x509_svid", "encoding = \"der\"\ncombined = \"x\"", "combined|an x509_svid of its own"},
		{"x509_svid", "encoding = \"der\"\ncrl = \"x\"", "crl|an x509_svid of its own"},
		{"x509_svid", "bundle = \"x\"\nhints = \"y\"", "hints|write cert or combined"},
		{"x509_svid", "cert = \"x\"\nhints = \"{hint}\"", "hints: {hint} means nothing"},
		{"x509_svid", "cert = \"x\"\nkey_password = \"y\"", "no private key to encrypt"},
		{"x509_svid", "key = \"x\"\nkey_password = \"\"", "key_password_file"},
		{"x509_svid", "key = \"x\"\nkey_password = \"y\"\nkey_password_file = \"z\"", "one of key_password and key_password_file"},
		{"x509_svid", "key = \"x\"\nkey_password = \"y\"\nkey_encoding = \"traditional\"", "only PKCS#8 is encrypted"},
		{"output", `layout = "spire"`, "spiffe and spire-agent"},
		{"output", "layout = \"spire-agent\"\nx509_svid {\n cert = \"svid.{index}.pem\"\n all = true\n}", "is already the name of|line"},
		{"output", "x509_bundle {\n file = \"x\"\n format = \"p12\"\n}", "pkcs12 and jks"},
		{"output", "x509_bundle {\n file = \"x\"\n format = \"pkcs12\"\n}", "x509_bundle needs one of password"},
		{"output", "x509_bundle {\n file = \"x\"\n password = \"y\"\n}", "password is for trust stores"},
		{"output", "jwt_bundle {\n file = \"x\"\n password = \"y\"\n}", "unknown key"},
		{"output", `spiffe_bundle { format = "map" }`, "spiffe_bundle needs file"},
		{"output", `spiffe_bundle { file = "x" }`, "exactly one trust domain"},
		{"output", "spiffe_bundle {\n file = \"{hint}\"\n format = \"map\"\n}", "{hint} means nothing"},
		{"output", "spiffe_bundle {\n file = \"x\"\n format = \"jwks\"\n}", "document and map"},
		{"output", "spiffe_bundle {\n file = \"x\"\n trust_domains = [\"a\", \"b\"]\n}", "exactly one trust domain"},
		{"output", "spiffe_bundle {\n file = \"x\"\n trust_domains = [\"A b\"]\n format = \"map\"\n}", "trust domain \"A b\""},
		{"output", "spiffe_bundle {\n file = \"{trust_domain}\"\n refresh_hint = \"100ms\"\n}", "whole seconds"},
		{"output", "spiffe_bundle {\n file = \"{trust_domain}\"\n refresh_hint = \"0s\"\n}", "whole seconds"},
		{"output", "spiffe_bundle {\n file = \"x\"\n format = \"map\"\n refresh_hint = \"5m\"\n}", "a map has none"},
		{"output", "spiffe_bundle {\n file = \"x\"\n format = \"map\"\n authorities = [\"x508\"]\n}", "did you mean x509?"},
		{"output", "spiffe_bundle {\n file = \"x\"\n format = \"map\"\n authorities = [\"jwt\", \"jwt\"]\n}", "given twice"},
		{"root", `process { command = [] }`, "command|names no program"},
		{"process", `on = []`, "on|the list is empty"},
		{"process", `on = ["x508"]`, "did you mean x509?"},
		{"process", `on = ["jwt"]`, "nothing ever happens on jwt|the outputs hold x509 and bundle"},
		{"process", `on_rotation = "reload"`, `there is no signal "reload"`},
		{"process", `on_rotation = "restrat"`, `did you mean restart?`},
		{"process", `on_rotation = 99`, "there is no signal 99, only 1 to"},
		{"process", `restart = true`, "restart|want a string"},
		{"process", `max_restarts = 3`, "counts within restart_window"},
		{"process", `max_restarts = -3`, "want a number from 0"},
		{"process", `max_restarts = "many"`, "want a whole number"},
		{"process", `stop_signal = ""`, "names no signal"},
		{"process", `signal_rewrite = "none"`, "want a map, not a string"},
		{"process", `signal_rewrite = { SIGKILL = "SIGTERM" }`, "svidhelper does not receive SIGKILL"},
		{"process", `signal_rewrite = { "34" = "SIGTERM" }`, "svidhelper does not receive SIGRTMIN"},
		{"process", `signal_rewrite = { TERM = "QUIT", SIGTERM = "none" }`, "SIGTERM is given twice"},
		{"process", `signal_rewrite = { SIGTREM = "QUIT" }`, "signal_rewrite.SIGTREM|did you mean SIGTERM?"},
		{"process", `env = ["A=b"]`, "want a map, not a list"},
		{"process", `env = { A = ["x"] }`, "env.A|want a string"},
		{"process", `env = { "A=" = "x" }`, "no equals sign"},
		{"process", `env = { A = "x", A = "y" }`, "env.A is given twice"},
		{"process", `pass_fds = [2]`, "above 2"},
		{"process", `pass_fds = [3, 3]`, "3 is given twice"},
		{"process", `proof { }`, "proof needs tls or command|command = [\"program\", \"argument\"]"},
		{"process", `proof { command = [] }`, "names no program"},
		{"process", `proof { command = [""] }`, "names no program"},
		{"process", `proof { command = "psql -c 'select 1'" }`, "nothing goes through a shell"},
		{"process", "proof {\n  command = [\"x\"]\n  starttls = \"smtp\"\n}", "starttls is for a proof with tls"},
		{"process", "proof {\n  command = [\"x\"]\n  client_ca = true\n}", "client_ca is for a proof with tls"},
		{"process", "proof {\n  tls = \"a:1\"\n  workers = 0\n}", "want a number from 1 to 64"},
		{"process", "proof {\n  tls = \"a:1\"\n  workers = 65\n}", "want a number from 1 to 64"},
		{"process", "on = \"x509\"\nproof {\n  tls = \"a:1\"\n  client_ca = true\n}", `client_ca proves a change of the bundle, and on = ["x509"] leaves it out`},
		{"process", `proof { tls = "localhost" }`, `"localhost" is not host:port`},
		{"process", `proof { tls = ":443" }`, "names no host"},
		{"process", `proof { tls = "localhost:https" }`, `"https" is not a port`},
		{"process", `proof { tls = "unix:x" }`, "is absolute"},
		{"process", `proof {
  tls = "a:1"
  starttls = "telnet"
}`, "ftp, imap, ldap, mysql, nats, pop3, postgres, sieve, smtp, xmpp and xmpp-server"},
		{"process", `proof {
  tls = "a:1"
  starttls = "postgresql"
}`, "did you mean postgres?"},
		{"process", `proof {
  tls = "127.0.0.1:1"
  starttls = "xmpp"
}`, `server_name = "example.org"`},
		{"process", `proof {
  tls = "a:1"
  alpn = ["h2", ""]
}`, "1 to 255 bytes"},
		{"process", `proof {
  tls = "a:1"
  on_failure = ["kill"]
}`, "signal and restart"},
		{"hook", ``, "exactly one of command, pid_file and process_name"},
		{"hook", "command = [\"x\"]\npid_file = \"/p\"", "exactly one of"},
		{"hook", "command = [\"\"]", "names no program"},
		{"hook", "pid_file = \"/p\"\ntimeout = \"1s\"", "timeout is for a hook with a command"},
		{"hook", "command = [\"x\"]\nowner = \"root\"", "owner is for a hook with process_name"},
		{"hook", "command = [\"x\"]\nsignal = \"HUP\"", "signal is for a hook with pid_file"},
		{"hook", `command = ["x"]
proof {
  tls = "a:1"
  on_failure = ["restart"]
}`, `hook "h" cannot restart anything`},
		{"hook", "command = [\"x\"]\nretries = 5000", "want a number from 0 to 1000"},
		{"health", `address = ":eighty"`, `"eighty" is not a port`},
		{"health", `address = ":70000"`, `"70000" is not a port`},
		{"health", `live_path = "live"`, `begins with a slash|write "/live"`},
		{"health", `live_path = "/ready"`, "live_path and ready_path are both"},
		{"health", `live_path = "/{x}"`, "is not a plain path"},
	} {
		src := strings.Replace(wraps[c.in], "%", c.src, 1)
		t.Run(fmt.Sprintf("%.40s", c.src), func(t *testing.T) {
			got, ds := parseOn("linux", src)
			if got != nil || !has(ds, Error, strings.Split(c.want, "|")...) {
				t.Errorf("want an error with %q, got configuration %v and\n%v", c.want, got != nil, ds)
			}
		})
	}
}

func TestNativeWarnings(t *testing.T) {
	for _, c := range []struct{ in, src, want string }{
		{"output", `key_mode = 0644`, "everybody can use|0644"},
		{"output", `dir_mode = 444`, "444 is decimal, mode 0674"},
		{"x509_svid", "cert = \"c\"\nkey = { file = \"k\", mode = 0604 }", "everybody can use"},
		{"root", "daemon_mode = false\nprocess { command = [\"x\"] }", "process is ignored"},
		{"root", "daemon_mode = false\nhook \"x\" { command = [\"x\"] }", "hook is ignored"},
		{"process", "on_rotation = \"none\"\nmax_restarts = 3\nrestart_window = \"1m\"", "counts nothing"},
	} {
		t.Run(c.src, func(t *testing.T) {
			_, ds := mustParse(t, strings.Replace(wraps[c.in], "%", c.src, 1))
			if !has(ds, Warning, strings.Split(c.want, "|")...) {
				t.Errorf("want a warning with %q, got\n%v", c.want, ds)
			}
		})
	}
}

// TestNamesFromAnswers has placeholders wherever they mean something.
func TestNamesFromAnswers(t *testing.T) {
	_, ds := mustParse(t, `output "/d" {
  x509_svid {
    cert   = "{trust_domain}/{id}.crt"
    key    = "{hint}.key"
    bundle = "{trust_domain}.{index}.pem"
    federated_bundles = "separate"
    federated_file    = "federated_bundle.{index}.{n}.pem"
  }
  jwt_svid {
    audience = ["vault"]
    file     = "{trust_domain}+{hint}+{id}.jwt"
  }
  wit_svid {
    token = "{id}.wit"
    key   = "{id}.jwk"
  }
  x509_bundle {
    file   = "x/{trust_domain}"
    format = "spiffe"
  }
  jwt_bundle {
    file   = "j/{trust_domain}"
    format = "jwks"
  }
  wit_bundle { file = "w/{trust_domain}" }
}`)
	if len(ds) > 0 {
		t.Error(ds)
	}
}

func TestGroupMayReadTheKey(t *testing.T) {
	if _, ds := mustParse(t, `output "/d" {
  group = "ssl-cert"
  key_mode = 0640
  x509_svid {}
}`); len(ds) > 0 {
		t.Errorf("unexpected:\n%v", ds)
	}
}

func TestOtherSystems(t *testing.T) {
	for _, c := range []struct{ goos, in, src, want string }{
		{"windows", "process", `on_rotation = "SIGHUP"`, `on_rotation does not work|write "restart" or "none"`},
		{"windows", "process", `user = "x"`, "user does not work"},
		{"windows", "process", `stop_signal = "SIGTERM"`, "stop_signal does not work"},
		{"windows", "output", `owner = "x"`, "owner does not work"},
		{"windows", "output", `publish = "symlink"`, `write "rename"`},
		{"windows", "output", `manifest = "a\\b"`, "slash separates"},
		{"windows", "output", `manifest = "a:b"`, "holds one of"},
		{"windows", "hook", `pid_file = "x"`, "use a command"},
		{"windows", "root", `agent_address = "npipe:/x"`, "named pipe's name"},
		{"darwin", "process", `no_new_privs = true`, "only on Linux"},
		{"darwin", "process", `subreaper = true`, "only on Linux"},
	} {
		t.Run(c.goos+" "+c.src, func(t *testing.T) {
			got, ds := parseOn(c.goos, strings.Replace(wraps[c.in], "%", c.src, 1))
			if got != nil || !has(ds, Error, strings.Split(c.want, "|")...) {
				t.Errorf("want an error with %q, got configuration %v and\n%v", c.want, got != nil, ds)
			}
		})
	}
	for _, src := range []string{`on_rotation = "restart"`, `on_rotation = "none"`} {
		if c, ds := parseOn("windows", strings.Replace(wraps["process"], "%", src, 1)); c == nil {
			t.Errorf("%q is refused on Windows:\n%v", src, ds)
		}
	}
}

// TestTrustDefaults: bundle_first brings times of its own, and the file can say others.
func TestTrustDefaults(t *testing.T) {
	for text, want := range map[string]trust.Policy{
		"":                    {},
		"bundle_first = true": {First: true, Lead: 30 * time.Second, Linger: 10 * time.Minute},
		"bundle_first = true\nbundle_lead = \"0s\"\nbundle_linger = \"0s\"": {First: true},
		"bundle_linger = \"1m\"": {Linger: time.Minute},
	} {
		c, _ := mustParse(t, "output \"/run/tls\" {\n x509_svid {}\n"+text+"\n}")
		if got := c.Outputs[0].Trust; got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// TestTemplateFiles: a template that is a file is read with the configuration. What is
// wrong with it is said of its line; an edit of it is an edit of the configuration.
func TestTemplateFiles(t *testing.T) {
	dir := t.TempDir()
	tmpl, conf := filepath.Join(dir, "a.tmpl"), filepath.Join(dir, "helper.conf")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(conf, fmt.Sprintf("output \"/run/tls\" {\n x509_svid {}\n template \"a\" {\n  from = %q\n  mode = 0644\n }\n}\n", tmpl))
	var l Loader
	for _, c := range []struct{ text, want, says string }{
		{"serial {{ .x509_svid.serial }}\r\n", "serial {{ .x509_svid.serial }}\n", ""},
		{"one\n{{ .x509_svid.serail }}", "", "a.tmpl:2:13: <.x509_svid.serail>: map has no entry"},
		{"one\n\n{{ end }}", "", "a.tmpl:3: unexpected {{end}}"},
		{"", "", "from: cannot read the template: it is empty"},
		{strings.Repeat("x", 300_000), "", "at most 262144 bytes"},
		{"{{ key .x509_svid }}", "{{ key .x509_svid }}", "everybody can use \"a\", which holds a secret: mode 0644"},
		{"again", "again", ""},
	} {
		write(tmpl, c.text)
		got, ds := l.Load(Flags{}, conf)
		if c.says == "" && len(ds) > 0 || !strings.Contains(ds.String(), c.says) {
			t.Errorf("%.30q: said is %q, want %q", c.text, ds, c.says)
		}
		if (got == nil) != (c.want == "") {
			t.Fatalf("%.30q: %+v", c.text, got)
		}
		if got != nil && (got.Outputs[0].Templates[0].Text != c.want || got.Outputs[0].Templates[0].Private != strings.Contains(c.text, "key")) {
			t.Errorf("%.30q: %+v", c.text, got.Outputs[0].Templates[0])
		}
		if again, ds := l.Load(Flags{}, conf); got != nil && (again != got || len(ds) > 0) {
			t.Errorf("%.30q: nothing has changed, and it was parsed again", c.text)
		}
	}
	if err := os.Remove(tmpl); err != nil {
		t.Fatal(err)
	}
	if c, ds := l.Load(Flags{}, conf); c != nil || !strings.Contains(ds.String(), "helper.conf:4:3: error: from: cannot read the template: no such file") {
		t.Errorf("%v, %v", c, ds)
	}
	if err := os.Mkdir(tmpl, 0o700); err != nil {
		t.Fatal(err)
	}
	if c, ds := l.Load(Flags{}, conf); c != nil || !strings.Contains(ds.String(), "it is not a regular file") {
		t.Errorf("%v, %v", c, ds)
	}
}
