package config

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
)

// A fact is something that spiffe-helper accepts, does or refuses.
type fact struct {
	name string
	src  string
	// bare leaves out the three names that are otherwise added.
	bare bool
	// goos is the operating system, linux if empty.
	goos string
	// check looks at what came out of it.
	check func(t *testing.T, c *Config)
	// err and warning are texts that one diagnostic must hold all of.
	err, warning []string
}

func x509(c *Config) encode.X509SVID { return c.Outputs[0].X509SVIDs[0] }

// certMode checks the mode of the certificate.
func certMode(want uint32) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if got := x509(c).Cert.Mode; uint32(got) != want {
			t.Errorf("mode of the certificate is %04o, want %04o", got, want)
		}
	}
}

func hint(want string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if got := x509(c).Select.Hint; got != want {
			t.Errorf("hint is %q, want %q", got, want)
		}
	}
}

func command(want ...string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if c.Process == nil || !slices.Equal(c.Process.Command, want) {
			t.Errorf("process is %+v, want command %q", c.Process, want)
		}
	}
}

func accepted(*testing.T, *Config) {}

var fileSyntax = []fact{
	{name: "comments with a hash", src: "# a\nhint = \"x\" # b", check: hint("x")},
	{name: "comments with two slashes", src: "// a\nhint = \"x\" // b", check: hint("x")},
	{name: "comments between slash and star", src: "/* a\n */ hint /* b */ = /* c */ \"x\" /* d */", check: hint("x")},
	{name: "a heredoc", src: "hint = <<EOF\na\n b\nEOF\n", check: hint("a\n b\n")},
	{name: "a heredoc whose end is indented keeps that space", src: "hint = <<EOF\n  a\n  EOF\n", check: hint("  a\n  ")},
	{name: "an indented heredoc", src: "hint = <<-EOF\n  a\n    b\n  EOF\n", check: hint("a\n  b\n")},
	{name: "an indented heredoc with a line that is less so", src: "hint = <<-EOF\n  a\n b\n  EOF\n", check: hint("  a\n b\n")},
	{name: "a heredoc with carriage returns", src: "hint = <<EOF\r\na\r\nEOF\r\n", check: hint("a\n")},
	{name: "objects in a list separated by commas, one trailing",
		src: `jwt_svids = [{jwt_audience="a",jwt_svid_file_name="a.jwt"}, {jwt_audience="b",jwt_svid_file_name="b.jwt",},]`, check: jwts("a", "b")},
	{name: "objects in a list without a comma between them", src: "jwt_svids = [\n{jwt_audience=\"a\"\njwt_svid_file_name=\"a.jwt\"}\n{jwt_audience=\"b\"\njwt_svid_file_name=\"b.jwt\"}\n]",
		err: []string{"4:1", "a list separates its elements with commas"}},
	{name: "objects in a list on lines of their own", src: "jwt_svids = [\n{jwt_audience=\"a\"\njwt_svid_file_name=\"a.jwt\"},\n{jwt_audience=\"b\"\njwt_svid_file_name=\"b.jwt\"},\n]", check: jwts("a", "b")},
	{name: "two commas in a row", src: `jwt_svids = [{jwt_audience="a",jwt_svid_file_name="a.jwt"},,{jwt_audience="b",jwt_svid_file_name="b.jwt"}]`, check: jwts("a", "b")},
	{name: "a file whose first character is a brace is JSON", bare: true,
		src:   ` {"cmd": "x\/\u00e9", "svid_file_name":"a", "svid_key_file_name":"b", "svid_bundle_file_name":"c", "jwt_svids":[{"jwt_audience":"d","jwt_svid_file_name":"e"}]}`,
		check: func(t *testing.T, c *Config) { command("x/é")(t, c); jwts("d")(t, c) }},
	{name: "null in JSON is a key that is not given", bare: true, src: `{"hint": null, "jwt_bundle_file_name": "b", "cmd": null}`,
		check: func(t *testing.T, c *Config) {
			if c.Process != nil {
				t.Error("there is a process")
			}
		}},
	{name: "a trailing comma in JSON", bare: true, src: `{"jwt_bundle_file_name": "b",}`, warning: []string{"1:29", "trailing comma"}, check: accepted},
	{name: "what follows a missing comma in JSON is left out, which is said", bare: true, src: `{"jwt_bundle_file_name": "b" "cmd": "x"}`, warning: []string{"1:30", "not JSON", "a comma must appear"}, check: accepted},
	{name: "JSON that ends in an escape", bare: true, src: `{"cmd": "x\u12`, err: []string{"the string is never closed"}},
	{name: "JSON that ends in the escape of a password", bare: true, src: `{"password": "hunter2\1`, err: []string{"never closed", `{"password":**********`}},
	{name: "JSON that ends in an octal escape", bare: true, src: `{""0"00\0`, err: []string{"the string is never closed"}},
	{name: "interpolation in JSON stays literal", bare: true, src: `{"jwt_bundle_file_name": "b", "cmd": "${x"}`, check: command("${x")},
	{name: "keys are case-insensitive", src: `Cert_File_Mode = "0640"`, check: certMode(0o640)},
	{name: "keys of entries are case-insensitive", src: `JWT_SVIDs = [{JWT_Audience="a", Jwt_Svid_File_Name="f"}]`, check: jwts("a")},
	{name: "keys may be quoted", src: `"cert_file_mode" = 0640`, check: certMode(0o640)},
	{name: "an unknown quoted key is an error", src: `"zip" = 1`, err: []string{`unknown key "zip"`}},
	{name: "a scalar given twice: the last wins", src: "hint = \"a\"\nhint = \"b\"", check: hint("b")},
	{name: "a scalar given twice in other case: the last wins", src: "hint = \"a\"\nHINT = \"b\"", check: hint("b")},
	{name: "jwt_svids given twice: both count", src: `jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}]
		jwt_svids = [{jwt_audience="b", jwt_svid_file_name="g"}]`, check: jwts("a", "b")},
	{name: "health_checks given twice: both count", src: "health_checks { bind_port = 1 }\nhealth_checks { listener_enabled = true }", check: served(":1", "/live", "/ready")},
	{name: "health_checks as a list in JSON: all of it counts", bare: true, src: `{"jwt_bundle_file_name": "b", "health_checks": [{"bind_port": 1}, {"listener_enabled": true}]}`, check: served(":1", "/live", "/ready")},
	{name: "items share a line", src: `hint = "x" cmd = "y"`, check: func(t *testing.T, c *Config) { hint("x")(t, c); command("y")(t, c) }},
	{name: "items that touch", src: `hint="x"cmd="y"`, check: func(t *testing.T, c *Config) { hint("x")(t, c); command("y")(t, c) }},
	{name: "items separated by a comma", src: "hint = \"x\",\ncmd = \"y\",", check: func(t *testing.T, c *Config) { hint("x")(t, c); command("y")(t, c) }},
	{name: "a block that touches its neighbours", src: `health_checks{listener_enabled=true bind_port=5}hint="x"`,
		check: func(t *testing.T, c *Config) { hint("x")(t, c); served(":5", "/live", "/ready")(t, c) }},
	{name: "a value on another line than its key", src: "hint\n=\n\"x\"", check: hint("x")},
	{name: "a brace on another line than its key", src: "health_checks\n{ listener_enabled = true }", check: served(":8081", "/live", "/ready")},
	{name: "carriage returns", src: "hint = \"x\"\r\ncmd = \"y\"\r\n", check: hint("x")},
	{name: "0444 is octal", src: `cert_file_mode = 0444`, check: certMode(0o444)},
	{name: "0x1a4 is hexadecimal", src: `cert_file_mode = 0x1a4`, check: certMode(0o644)},
	{name: `"0640" is octal`, src: `cert_file_mode = "0640"`, check: certMode(0o640)},
	{name: `"0o600" is octal`, src: `cert_file_mode = "0o600"`, check: certMode(0o600)},
	{name: `"6_4_0" is decimal`, src: `cert_file_mode = "4_2_0"`, check: certMode(0o644)},
	{name: "444 is decimal 0674", src: `cert_file_mode = 444`, check: certMode(0o674), warning: []string{"cert_file_mode: 444 is decimal, mode 0674", "did you mean 0444?"}},
	{name: "644 is decimal 0204", src: `cert_file_mode = 644`, check: certMode(0o204), warning: []string{"644 is decimal, mode 0204", "did you mean 0644?"}},
	{name: "420 is decimal, and what was meant", src: `cert_file_mode = 420`, check: certMode(0o644)},
	{name: "a negative mode", src: `cert_file_mode = -1`, err: []string{"cert_file_mode", "negative"}},
	{name: "a negative mode in quotes", src: `key_file_mode = "-1"`, err: []string{"key_file_mode", "negative"}},
	{name: "mode 0 is the default", src: `cert_file_mode = 0`, check: certMode(0)},
	{name: "089 is no number", src: `cert_file_mode = 089`, err: []string{"cert_file_mode"}},
	{name: "an empty mode", src: `cert_file_mode = ""`, err: []string{"cert_file_mode"}},
	{name: "a fraction is no mode", src: `cert_file_mode = 1.0`, err: []string{"cert_file_mode"}},
	{name: "true", src: `omit_expired = true`, check: omits(true)},
	{name: "false", src: `omit_expired = false`, check: omits(false)},
	{name: `"true"`, src: `omit_expired = "true"`, check: omits(true)},
	{name: `"false"`, src: `omit_expired = "false"`, check: omits(false)},
	{name: "a number is no boolean", src: `omit_expired = 1`, err: []string{"omit_expired", "want true or false"}},
	{name: `"1" is no boolean`, src: `omit_expired = "1"`, err: []string{"omit_expired", "want true or false"}},
	{name: "TRUE is no boolean", src: `omit_expired = TRUE`, err: []string{"omit_expired", "want true or false"}},
	{name: "a string key accepts a bare number", src: `hint = 5`, check: hint("5")},
	{name: "a string key accepts a number of any base, as written", src: `hint = 0x1F`, check: hint("0x1F")},
	{name: "a string key accepts a negative number", src: `hint = -5`, check: hint("-5")},
	{name: "a string key refuses a boolean", src: `hint = true`, err: []string{"hint", "want a string"}},
	{name: "a string key refuses a list", src: `hint = ["x"]`, err: []string{"hint", "want a string, not a list"}},
	{name: "a string key refuses a block", src: `hint { }`, err: []string{"hint", "want a string, not a block"}},
	{name: "${ } stays literal", src: `hint = "a ${b} c"`, check: hint("a ${b} c")},
	{name: "%{ } stays literal", src: `hint = "a %{b} c"`, check: hint("a %{b} c")},
	{name: "%{ needs no brace", src: `hint = "a %{b"`, check: hint("a %{b")},
	{name: "$${ } stays literal", src: `hint = "$${b}"`, check: hint("$${b}")},
	{name: "quotes within ${ }", src: `hint = "${a "b" {x} c}"`, check: hint(`${a "b" {x} c}`)},
	{name: "a line break within ${ }", src: "hint = \"${a\nb}\"", check: hint("${a\nb}")},
	{name: "nothing is an escape within ${ }", src: `hint = "${a\nb}\t"`, check: hint("${a\\nb}\t")},
	{name: "${ that is never closed", src: `hint = "a ${b"`, err: []string{"never closed"}},
	{name: "escapes", src: `hint = "\a\b\f\n\r\t\v\\\"\x41\101\u00e9\U0001f600"`, check: hint("\a\b\f\n\r\t\v\\\"AAé\U0001f600")},
	{name: "an escape that is none", src: `hint = "a\q"`, err: []string{"1:10", "invalid escape"}},
	{name: "a line break in a string", src: "hint = \"a\nb\"", err: []string{"1:8", "the string is never closed"}},
	{name: "single quotes", src: `hint = 'x'`, err: []string{"hint", `write hint = "x"`}},
	{name: "a zero byte", src: "hint = \"x\x00\"", err: []string{"1:10", "it has the byte 0x00"}},
	{name: "health_checks as a block", src: `health_checks { listener_enabled = true }`, check: served(":8081", "/live", "/ready")},
	{name: "health_checks as an object", src: `health_checks = { listener_enabled = true, bind_port = 99 }`, check: served(":99", "/live", "/ready")},
	{name: "an unknown key in health_checks is an error", src: `health_checks { liveness = "/x" }`, err: []string{`unknown key "liveness" in health_checks`}},
	{name: "repeated jwt_svids blocks", src: "jwt_svids { jwt_audience=\"a\"\n jwt_svid_file_name=\"f\" }\njwt_svids { jwt_audience=\"b\"\n jwt_svid_file_name=\"g\" }", check: jwts("a", "b")},
	{name: "unknown keys", src: "foo = 1\nbar = 2", err: []string{"helper.conf:1:1", `unknown key "foo"`, "foo = 1"}},
	{name: "the other unknown key", src: "foo = 1\nbar = 2", err: []string{"helper.conf:2:1", `unknown key "bar"`, "bar = 2"}},
	{name: "an unknown key in jwt_svids", src: `jwt_svids = [{zip = 1, jwt_audience="a", jwt_svid_file_name="f"}]`, err: []string{"1:15", `unknown key "zip" in jwt_svids`}},
	{name: "an unknown key is near a known one", src: `svid_filename = "x"`, err: []string{"did you mean svid_file_name?"}},
}

// camelCase are the keys of v0.6, and their spelling since v0.9.
var camelCase = map[string]string{
	"agentAddress": "agent_address", "cmdArgs": "cmd_args", "certDir": "cert_dir", "addIntermediatesToBundle": "add_intermediates_to_bundle",
	"svidFileName": "svid_file_name", "svidKeyFileName": "svid_key_file_name", "svidBundleFileName": "svid_bundle_file_name", "renewSignal": "renew_signal",
}

func omits(want bool) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if x509(c).OmitExpired != want {
			t.Errorf("omit_expired is %v", !want)
		}
	}
}

// jwts checks the first audience of each JWT-SVID.
func jwts(want ...string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		var got []string
		for _, j := range c.Outputs[0].JWTSVIDs {
			got = append(got, j.Audience[0])
		}
		if !slices.Equal(got, want) {
			t.Errorf("JWT-SVIDs for %q, want %q", got, want)
		}
	}
}

func served(address, live, ready string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if want := (Health{Address: address, LivePath: live, ReadyPath: ready, LiveNeedsWrites: true}); c.Health == nil || *c.Health != want {
			t.Errorf("health is %+v, want %+v", c.Health, want)
		}
	}
}

func address(want string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if c.AgentAddress != want {
			t.Errorf("address is %q, want %q", c.AgentAddress, want)
		}
	}
}

func x509Files(c *Config) []encode.FileSpec {
	return []encode.FileSpec{x509(c).Cert, x509(c).Key, x509(c).Bundle}
}

const pidFile = "pid_file_name = \"/run/x.pid\"\n"

var rules = []fact{
	{name: "the three X.509 names are all", src: "", check: func(t *testing.T, c *Config) {
		if d := diff([]encode.FileSpec{{Name: "svid.pem"}, {Name: "svid_key.pem"}, {Name: "svid_bundle.pem"}}, x509Files(c)); d != "" {
			t.Error(d)
		}
	}},
	{name: "one X.509 name missing", bare: true, src: "svid_file_name = \"a\"\nsvid_key_file_name = \"b\"", err: []string{"svid_bundle_file_name is missing", "all three"}},
	{name: "two X.509 names missing", bare: true, src: "svid_bundle_file_name = \"a\"", err: []string{"svid_key_file_name is missing"}},
	{name: "an empty X.509 name is a missing one", src: `svid_file_name = ""` + "\n", bare: false, check: accepted}, // the last one wins
	{name: "nothing to write", bare: true, src: `cert_dir = "/x"`, err: []string{"nothing to write", "jwt_svids", "jwt_bundle_file_name"}},
	{name: "an empty file", bare: true, src: "", err: []string{"nothing to write"}},
	{name: "jwt_svids alone", bare: true, src: `jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}]`, check: jwts("a")},
	{name: "jwt_bundle_file_name alone", bare: true, src: `jwt_bundle_file_name = "b"`, check: func(t *testing.T, c *Config) {
		if d := diff([]encode.JWTBundle{{File: encode.FileSpec{Name: "b", Mode: 0o600}}}, c.Outputs[0].JWTBundles); d != "" {
			t.Error(d)
		}
	}},
	{name: "an empty list of jwt_svids is none", bare: true, src: `jwt_svids = []`, err: []string{"nothing to write"}},
	{name: "an empty object of jwt_svids is none", src: `jwt_svids = {}`, check: jwts()},
	{name: "an entry without jwt_audience", src: `jwt_svids = [{jwt_svid_file_name="f"}]`, err: []string{"needs jwt_audience"}},
	{name: "an entry without jwt_svid_file_name", src: `jwt_svids = [{jwt_audience="a"}]`, err: []string{"needs jwt_svid_file_name"}},
	{name: "jwt_extra_audiences", src: `jwt_svids = [{jwt_audience="a", jwt_extra_audiences=["b", 5], jwt_svid_file_name="f"}]`, check: func(t *testing.T, c *Config) {
		if got := c.Outputs[0].JWTSVIDs[0].Audience; !slices.Equal(got, []string{"a", "b", "5"}) {
			t.Errorf("audience is %q", got)
		}
	}},
	{name: "jwt_extra_audiences may be empty", src: `jwt_svids = [{jwt_audience="a", jwt_extra_audiences=[], jwt_svid_file_name="f"}]`, check: jwts("a")},
	{name: "an empty extra audience is left out", src: `jwt_svids = [{jwt_audience="a", jwt_extra_audiences=["", "b"], jwt_svid_file_name="f"}]`, warning: []string{"jwt_extra_audiences", "empty"}, check: func(t *testing.T, c *Config) {
		if got := c.Outputs[0].JWTSVIDs[0].Audience; !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("audience is %q", got)
		}
	}},
	{name: "pid_file_name needs renew_signal", src: pidFile, err: []string{"pid_file_name needs renew_signal"}},
	{name: "pid_file_name needs a renew_signal that is not empty", src: pidFile + `renew_signal = ""`, err: []string{"pid_file_name needs renew_signal"}},
	{name: "pid_file_name with renew_signal", src: pidFile + `renew_signal = "SIGQUIT"`, check: func(t *testing.T, c *Config) {
		quit, _ := supervisor.ParseSignal("SIGQUIT")
		want := []Hook{{hook.Spec{Name: "pid_file_name", PIDFile: "/run/x.pid", Signal: quit}, Target{On: snapshot.KindX509 | snapshot.KindBundle}}}
		if d := diff(want, c.Hooks); d != "" {
			t.Error(d)
		}
	}},
	{name: "pid_file_name with daemon_mode = false", src: pidFile + "renew_signal = \"SIGHUP\"\ndaemon_mode = false", err: []string{"pid_file_name", "daemon_mode = false"}},
	{name: "an empty pid_file_name is none", src: "pid_file_name = \"\"\ndaemon_mode = false", check: accepted},
	{name: "cmd with daemon_mode = false only warns", src: "cmd = \"x\"\ndaemon_mode = false", warning: []string{"cmd is ignored", "daemon_mode"}, check: func(t *testing.T, c *Config) {
		if !c.OneShot || c.Process != nil {
			t.Errorf("one-shot %v, process %v", c.OneShot, c.Process)
		}
	}},
	{name: "renew_signal with daemon_mode = false only warns", src: "renew_signal = \"SIGHUP\"\ndaemon_mode = false", warning: []string{"renew_signal is ignored"}, check: accepted},
	{name: "an empty renew_signal means no signal", src: "cmd = \"x\"\nrenew_signal = \"\"", check: func(t *testing.T, c *Config) {
		if c.Process.OnRotation.Action != supervisor.RotationNone {
			t.Errorf("on rotation: %v", c.Process.OnRotation)
		}
	}},
	{name: "no renew_signal means no signal", src: "cmd = \"x\"", check: func(t *testing.T, c *Config) {
		if c.Process.OnRotation.Action != supervisor.RotationNone {
			t.Errorf("on rotation: %v", c.Process.OnRotation)
		}
	}},
	{name: "an empty cmd means no command", src: "cmd = \"\"\ncmd_args = \"a b\"\nrenew_signal = \"SIGHUP\"", check: func(t *testing.T, c *Config) {
		if c.Process != nil {
			t.Errorf("process is %+v", c.Process)
		}
	}},
	{name: "cmd_args that cannot be split, without cmd", src: `cmd_args = "-c \"a"`, warning: []string{"cmd_args", "nothing uses it"}, check: accepted},
	{name: "cmd_args that cannot be split, in one-shot", src: "cmd = \"x\"\ncmd_args = \"-c \\\"a\"\ndaemon_mode = false", warning: []string{"cmd_args", "nothing uses it"}, check: accepted},
	{name: "cmd and cmd_args", src: "cmd = \"x\"\ncmd_args = \"-c \\\"a b\\\"\"", check: command("x", "-c", "a b")},
	{name: "cmd is started again at the next rotation", src: "cmd = \"x\"\nrenew_signal = \"SIGHUP\"", check: func(t *testing.T, c *Config) {
		hup, _ := supervisor.ParseSignal("SIGHUP")
		if c.Process.Restart != supervisor.RestartOnRotation || c.Process.OnRotation != (supervisor.Rotation{Signal: hup}) {
			t.Errorf("process is %+v", c.Process)
		}
	}},
	{name: "JWT updates start and signal nothing beside X.509", src: "cmd = \"x\"\njwt_bundle_file_name = \"b\"", check: func(t *testing.T, c *Config) {
		if c.Process.On != snapshot.KindX509|snapshot.KindBundle {
			t.Errorf("on is %v", c.Process.On)
		}
	}},
	{name: "with JWT outputs only, JWT updates do", bare: true, src: "cmd = \"x\"\njwt_bundle_file_name = \"b\"", check: func(t *testing.T, c *Config) {
		if !c.Process.On.Has(snapshot.KindJWT) {
			t.Errorf("on is %v", c.Process.On)
		}
	}},
	{name: "daemon_mode is true unless it is given", src: "", check: func(t *testing.T, c *Config) {
		if c.OneShot {
			t.Error("one-shot")
		}
	}},
	{name: "a bare path as address", src: `agent_address = "/tmp/agent.sock"`, check: address("unix:///tmp/agent.sock")},
	{name: "unix:///path as address", src: `agent_address = "unix:///tmp/agent.sock"`, check: address("unix:///tmp/agent.sock")},
	{name: "unix:/path as address", src: `agent_address = "unix:/tmp/agent.sock"`, check: address("unix:///tmp/agent.sock")},
	{name: "tcp://IP:port as address", src: `agent_address = "tcp://[::1]:80"`, check: address("tcp://[::1]:80")},
	{name: "no address", src: "", check: address("")},
	{name: "an empty address is none", src: `agent_address = ""`, check: address("")},
	{name: "a wrong signal name", src: "cmd = \"x\"\nrenew_signal = \"SIGHUPP\"", err: []string{"renew_signal", "SIGHUPP", "did you mean SIGHUP?"}},
	{name: "a wrong signal name that nothing uses", src: `renew_signal = "reload"`, warning: []string{"renew_signal", "nothing uses it"}, check: accepted},
	{name: "a wrong signal name for the process of a pid file", src: pidFile + `renew_signal = "reload"`, err: []string{"renew_signal", "there is no signal"}},
	{name: "a wrong signal name in one-shot", src: "cmd = \"x\"\nrenew_signal = \"reload\"\ndaemon_mode = false", warning: []string{"renew_signal", "nothing uses it"}, check: accepted},
	{name: "a wrong signal name before the one that counts", src: "cmd = \"x\"\nrenew_signal = \"reload\"\nrenew_signal = \"SIGHUP\"", check: signalled("SIGHUP")},
	{name: "a signal without SIG", src: "cmd = \"x\"\nrenew_signal = \"HUP\"", check: signalled("SIGHUP")},
	{name: "a signal's number", src: "cmd = \"x\"\nrenew_signal = 1", check: signalled("SIGHUP")},
	{name: "cert_dir is joined with each name", src: `cert_dir = "/run/certs/"`, check: directory("/run/certs")},
	{name: "an empty cert_dir is the working directory", src: `cert_dir = ""`, check: directory(".")},
	{name: "a heredoc as cert_dir ends with a line break", src: "cert_dir = <<EOF\n/run/certs\nEOF\n", err: []string{"cert_dir", "control character"}},
	{name: "no cert_dir is the working directory", src: ``, check: directory(".")},
	{name: "an absolute name is joined too", bare: true, src: `cert_dir = "/d"
		svid_file_name = "/x/a.pem"
		svid_key_file_name = "/b.pem"
		svid_bundle_file_name = "./c//d.pem"`, check: func(t *testing.T, c *Config) {
		if d := diff([]encode.FileSpec{{Name: "x/a.pem"}, {Name: "b.pem"}, {Name: "c/d.pem"}}, x509Files(c)); d != "" {
			t.Error(d)
		}
	}},
	{name: "a name that leads out of cert_dir is a place of its own", src: `cert_dir = "/run/certs/web"
		jwt_bundle_file_name = "../../jwks.json"
		jwt_svids = [{jwt_audience="a", jwt_svid_file_name="/../f"}]`,
		check: inPlaces("/run/certs/web/svid.pem", "/run/certs/web/svid_key.pem", "/run/certs/web/svid_bundle.pem", "/run/certs/f", "/run/jwks.json")},
	{name: "a name that leads out of a relative cert_dir", src: `cert_dir = "certs"
		jwt_bundle_file_name = "../jwks.json"`, check: inPlaces("certs/svid.pem", "certs/svid_key.pem", "certs/svid_bundle.pem", "jwks.json")},
	{name: "a name that leads out of the working directory", bare: true, src: `jwt_bundle_file_name = "../x"`, check: inPlaces("../x")},
	{name: "a name that is a directory", bare: true, src: "cert_dir = \"/d\"\njwt_bundle_file_name = \".\"", err: []string{"jwt_bundle_file_name", "file name"}},
	{name: "an absolute name without cert_dir is absolute", bare: true, src: `svid_file_name = "/opt/svid.pem"
		svid_key_file_name = "/opt/svid.key"
		svid_bundle_file_name = "/opt/svid_bundle.pem"`, check: func(t *testing.T, c *Config) {
		inPlaces("/opt/svid.pem", "/opt/svid.key", "/opt/svid_bundle.pem")(t, c)
		if len(c.Outputs) != 1 {
			t.Errorf("%d outputs", len(c.Outputs))
		}
	}},
	{name: "absolute names in several directories are several places", bare: true, src: `svid_file_name = "/etc/tls/svid.pem"
		svid_key_file_name = "/etc/private/svid.key"
		svid_bundle_file_name = "ca.pem"
		add_intermediates_to_bundle = true
		include_federated_domains = true
		hint = "h"
		jwt_svids = [{jwt_audience="a", jwt_svid_file_name="/etc/jwts/aws.jwt"}]`, check: func(t *testing.T, c *Config) {
		inPlaces("/etc/tls/svid.pem", "/etc/private/svid.key", "ca.pem", "/etc/jwts/aws.jwt")(t, c)
		for i, o := range c.Outputs[:3] {
			if x := o.X509SVIDs[0]; x.Select.Hint != "h" || x.IntermediatesInBundle != (i != 1) || (x.Federated == encode.FederatedMerge) != (i == 2) {
				t.Errorf("output %s: %+v", o.Dir, x)
			}
		}
	}},
	{name: "publish is accepted beside the flat keys", src: `publish = "in-place"`, check: func(t *testing.T, c *Config) {
		if got := c.Outputs[0].Publish; got != writer.ModeInPlace {
			t.Errorf("publish is %q", got)
		}
	}},
	{name: "log_level", src: `log_level = "DEBUG"`, check: level(slog.LevelDebug)},
	{name: "log_level of the other program", src: `log_level = "Warning"`, check: level(slog.LevelWarn)},
	{name: "a log_level that is none", src: `log_level = "loud"`, err: []string{"log_level", `"loud" is not known here`}},
	{name: "start and reload, which may come there", src: "start { cmd = \"x\" }", err: []string{`unknown key "start"`, "write cmd", "process"}},
	{name: "reload", src: "reload { signal = \"x\" }", err: []string{`unknown key "reload"`, "write renew_signal", "hook"}},
	{name: "modes default to 0644 and 0600", src: "jwt_bundle_file_name = \"b\"\njwt_svids = [{jwt_audience=\"a\", jwt_svid_file_name=\"f\"}]", check: func(t *testing.T, c *Config) {
		o := c.Outputs[0]
		if m := o.JWTBundles[0].File.Mode; m != 0o600 {
			t.Errorf("mode of the JWT bundle is %04o", m)
		}
		if m := o.JWTSVIDs[0].File.Mode; m != 0 { // the writer's default for tokens, 0600
			t.Errorf("mode of the JWT-SVID is %04o", m)
		}
	}},
	{name: "modes", src: `cert_file_mode = 0640
		key_file_mode = 0400
		jwt_bundle_file_mode = 0644
		jwt_svid_file_mode = 0440
		jwt_bundle_file_name = "b"
		jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}]`, check: func(t *testing.T, c *Config) {
		o := c.Outputs[0]
		got := fmt.Sprintf("%o %o %o %o %o", x509(c).Cert.Mode, x509(c).Bundle.Mode, x509(c).Key.Mode, o.JWTBundles[0].File.Mode, o.JWTSVIDs[0].File.Mode)
		if got != "640 640 400 644 440" {
			t.Errorf("modes are %s", got)
		}
	}},
	{name: "a key that everybody can read", src: `key_file_mode = 0644`, check: accepted, warning: []string{"svid_key_file_name", "0644"}},
	{name: "include_federated_domains appends to the bundle", src: `include_federated_domains = true`, check: func(t *testing.T, c *Config) {
		if x509(c).Federated != encode.FederatedMerge {
			t.Errorf("federated is %q", x509(c).Federated)
		}
	}},
	{name: "add_intermediates_to_bundle", src: `add_intermediates_to_bundle = true`, check: func(t *testing.T, c *Config) {
		if !x509(c).IntermediatesInBundle {
			t.Error("intermediates stay")
		}
	}},
	{name: "omit_expired", src: `omit_expired = true`, check: omits(true)},
	{name: "hint selects X.509-SVIDs and JWT-SVIDs", src: `hint = "h"
		jwt_svids = [{jwt_audience="a", jwt_svid_file_name="f"}]`, check: func(t *testing.T, c *Config) {
		hint("h")(t, c)
		if got := c.Outputs[0].JWTSVIDs[0].Hint; got != "h" {
			t.Errorf("hint of the JWT-SVID is %q", got)
		}
	}},
	{name: "health_checks are off by default", src: `health_checks { bind_port = 1 }`, check: func(t *testing.T, c *Config) {
		if c.Health != nil {
			t.Errorf("health is %+v", c.Health)
		}
	}},
	{name: "health_checks in full", src: `health_checks { listener_enabled = true
		bind_port = 8080
		liveness_path = "/l"
		readiness_path = "/r" }`, check: served(":8080", "/l", "/r")},
	{name: "bind_port as a string of digits", src: `health_checks { listener_enabled = true
		bind_port = "8080" }`, check: served(":8080", "/live", "/ready")},
	{name: "a port that is none, and that nobody listens on", src: `health_checks { bind_port = 70000 }`, check: accepted},
	{name: "a port that is none", src: `health_checks { listener_enabled = true
		bind_port = 70000 }`, err: []string{"2:3", "bind_port", "0 to 65535"}},
	{name: "a negative port", src: `health_checks { listener_enabled = true
		bind_port = -1 }`, err: []string{"bind_port", "0 to 65535"}},
	{name: "health_checks mean nothing to a one-shot", src: `daemon_mode = false
		health_checks { listener_enabled = true
		bind_port = 70000
		liveness_path = "/ready" }`, check: func(t *testing.T, c *Config) {
		if c.Health != nil {
			t.Errorf("health is %+v", c.Health)
		}
	}},
	{name: "equal paths", src: `health_checks { listener_enabled = true
		liveness_path = "/ready" }`, err: []string{"liveness_path and readiness_path are both"}},
	{name: "Windows: the address is a named pipe's name", goos: "windows", src: `agent_address = "spire-agent\\public\\api"`, check: address(`npipe:spire-agent\public\api`)},
	{name: "Windows: renew_signal is refused", goos: "windows", src: `renew_signal = "SIGHUP"`, err: []string{"renew_signal", "Windows has no signals"}},
	{name: "Windows: an empty renew_signal is not", goos: "windows", src: `renew_signal = ""`, check: accepted},
}

func signalled(name string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if got := supervisor.SignalName(c.Process.OnRotation.Signal); got != name {
			t.Errorf("signal is %s, want %s", got, name)
		}
	}
}

func level(want slog.Level) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if c.Log.Level != want {
			t.Errorf("level is %v, want %v", c.Log.Level, want)
		}
	}
}

// inPlaces checks where the files are, output by output.
func inPlaces(want ...string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		var got []string
		for _, o := range c.Outputs {
			files := []encode.FileSpec{}
			for _, x := range o.X509SVIDs {
				files = append(files, x.Cert, x.Key, x.Bundle)
			}
			for _, j := range o.JWTSVIDs {
				files = append(files, j.File)
			}
			for _, j := range o.JWTBundles {
				files = append(files, j.File)
			}
			for _, f := range files {
				if f.Wanted() {
					got = append(got, filepath.ToSlash(filepath.Join(o.Dir, f.Name)))
				}
			}
		}
		if d := diff(want, got); d != "" {
			t.Errorf("places (-want +got):\n%s", d)
		}
	}
}

func directory(want string) func(*testing.T, *Config) {
	return func(t *testing.T, c *Config) {
		if got := filepath.ToSlash(c.Outputs[0].Dir); got != want {
			t.Errorf("directory is %q, want %q", got, want)
		}
	}
}

func (f fact) test(t *testing.T) {
	src := f.src
	if !f.bare {
		src = f.src + "\n" + x509Names
	}
	goos := f.goos
	if goos == "" {
		goos = "linux"
	}
	c, ds := parseOn(goos, src)
	if f.err != nil {
		if c != nil || !has(ds, Error, f.err...) {
			t.Fatalf("want an error with %q, got configuration %v and\n%v", f.err, c != nil, ds)
		}
		return
	}
	if c == nil {
		t.Fatalf("unexpected errors:\n%v", ds)
	}
	if f.warning != nil && !has(ds, Warning, f.warning...) {
		t.Errorf("want a warning with %q, got\n%v", f.warning, ds)
	}
	if f.warning == nil && len(ds) > 0 {
		t.Errorf("unexpected warnings:\n%v", ds)
	}
	f.check(t, c)
	if goos == "linux" {
		checkRoundTrip(t, c)
	}
}

func TestDropInFileSyntax(t *testing.T) {
	for _, f := range fileSyntax {
		t.Run(f.name, f.test)
	}
	for old, now := range camelCase {
		t.Run(old, fact{src: old + ` = "x"`, err: []string{`unknown key "` + old + `"`, "it is spelled " + now}}.test)
	}
}

func TestDropInRules(t *testing.T) {
	for _, f := range rules {
		t.Run(f.name, f.test)
	}
}

func TestCmdArgs(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
		err      error
	}{
		{"empty", ``, nil, nil},
		{"four arguments", `-flag1 value1 -flag2 value2`, []string{"-flag1", "value1", "-flag2", "value2"}, nil},
		{"quotes group", `-flag1 "value 1" -flag2 "value 2"`, []string{"-flag1", "value 1", "-flag2", "value 2"}, nil},
		{"single quotes within double ones", `-c "echo 'hello world'"`, []string{"-c", "echo 'hello world'"}, nil},
		{"an apostrophe", `echo Mc'Gougall`, []string{"echo", "Mc'Gougall"}, nil},
		{"single quotes mean nothing", `-c 'echo hello world'`, []string{"-c", "'echo", "hello", "world'"}, nil},
		{"a doubled quote", `-c "echo ""hello world"""`, []string{"-c", `echo "hello world"`}, nil},
		{"an unterminated quote", `-flag1 "value 1`, nil, errUnterminated},
		{"a backslash means nothing", `-c "echo \"hello\""`, nil, errStrayQuote},
		{"a stray quote", `-c "a "b" c"`, nil, errStrayQuote},
		{"nothing is expanded", `$$ $var ${var} {{var}} $(var) %VAR%`, []string{"$$", "$var", "${var}", "{{var}}", "$(var)", "%VAR%"}, nil},
		{"two spaces in a row", `a  b`, []string{"a", "", "b"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := splitArgs(c.in)
			if err != c.err || !slices.Equal(got, c.want) {
				t.Errorf("splitArgs(%q) = %q, %v; want %q, %v", c.in, got, err, c.want, c.err)
			}
			src := "cmd = \"x\"\ncmd_args = " + quote(c.in) + x509Names
			if c.err != nil {
				fact{bare: true, src: src, err: []string{"cmd_args", c.err.Error()}}.test(t)
			} else {
				f := fact{bare: true, src: src, check: command(append([]string{"x"}, c.want...)...)}
				if strings.Contains(c.name, "single quotes mean") {
					f.warning = []string{"cmd_args", "single quotes mean nothing"}
				}
				f.test(t)
			}
		})
	}
}

func TestCmdArgsOnTwoLinesWarns(t *testing.T) {
	c, ds := parseOn("linux", "cmd = \"x\"\ncmd_args = \"a b\\nc\"\n"+x509Names)
	if !has(ds, Warning, "cmd_args", "only the first line counts") {
		t.Errorf("no warning, but\n%v", ds)
	}
	command("x", "a", "b")(t, c)
}

func TestEveryFlatKeyIsTested(t *testing.T) {
	var all strings.Builder
	for _, f := range slices.Concat(fileSyntax, rules) {
		all.WriteString(f.src)
	}
	for _, f := range new(dropIn).fields() {
		if !strings.Contains(all.String()+x509Names, f.key) {
			t.Errorf("no fact is about %s", f.key)
		}
	}
}

// TestDropInNamesAreLiteral: spiffe-helper knows no placeholders, and what is
// printed in the native dialect does not make one of a brace.
func TestDropInNamesAreLiteral(t *testing.T) {
	c, ds := mustParse(t, `cert_dir = "/d"
svid_file_name        = "{hint}.pem"
svid_key_file_name    = "{id}.key"
svid_bundle_file_name = "ca.pem"
jwt_bundle_file_name  = "{n}.json"`)
	x := x509(c)
	for _, f := range []encode.FileSpec{x.Cert, x.Key, x.Bundle, c.Outputs[0].JWTBundles[0].File} {
		if f.Varies() {
			t.Errorf("%q is named by an answer", f.Name)
		}
	}
	if len(ds) > 0 || !strings.Contains(string(Print(c)), `{ file = "{hint}.pem", literal = true }`) {
		t.Errorf("%v\n%s", ds, Print(c))
	}
}
