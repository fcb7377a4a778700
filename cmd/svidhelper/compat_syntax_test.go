//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// What may stand in a file, shown by what the program does with it.

const bundleAs = oneShot + "jwt_bundle_file_name = "

// entry is an entry of jwt_svids, as an object without its braces.
func entry(audience string) string {
	return fmt.Sprintf(`jwt_audience = %q, jwt_svid_file_name = "%s.jwt"`, audience, audience)
}

var syntaxFacts = []fact{
	{name: "comments with #", bare: true, conf: "# jwt_svids\n" + bundleAs + `"x" # "y"`, test: writes("x")},
	{name: "comments with //", bare: true, conf: "// jwt_svids\n" + bundleAs + `"x" // "y"`, test: writes("x")},
	{name: "comments with /* */", bare: true, conf: "/* jwt_svids\n */" + bundleAs + `/* "y" */ "x"`, test: writes("x")},
	{name: "heredocs", conf: "cmd = \"exits\"\ncmd_args = <<EOF\n-c \"a b\"\nEOF\n", test: argv("-c", "a b")},
	{name: "heredocs that are indented", conf: "cmd = \"exits\"\ncmd_args = <<-EOF\n  -c \"a b\"\n  EOF\n", test: argv("-c", "a b")},
	{name: "objects in a list, their keys separated by commas", bare: true, conf: oneShot + "jwt_svids = [{" + entry("a") + "}, {" + entry("b") + "}]", test: writes("a.jwt", "b.jwt")},
	{name: "objects in a list, their keys separated by newlines", bare: true, test: writes("a.jwt", "b.jwt"),
		conf: oneShot + "jwt_svids = [{\n" + strings.ReplaceAll(entry("a"), ",", "\n") + "\n}, {\n" + strings.ReplaceAll(entry("b"), ",", "\n") + "\n}]"},
	{name: "objects in a list with a trailing comma", bare: true, conf: oneShot + "jwt_svids = [{" + entry("a") + ",}, {" + entry("b") + ",},]", test: writes("a.jwt", "b.jwt")},
	{name: "a file whose first character is { is JSON", bare: true, conf: `{"daemon_mode": false, "jwt_bundle_file_name": "x", "jwt_svids": [{"jwt_audience": "a", "jwt_svid_file_name": "a.jwt"}]}`, test: writes("x", "a.jwt")},
	{name: "keys are case-insensitive", conf: oneShot + "Cert_File_Mode = 0640\n", test: certMode(0o640)},
	{name: "keys may be quoted", conf: oneShot + "\"cert_file_mode\" = 0640\n", test: certMode(0o640)},
	{name: "a quoted key that is unknown is an error", conf: oneShot + "\"zip\" = 1\n", test: refused(`unknown key "zip"`)},
	{name: "a scalar given twice: the last wins", bare: true, conf: bundleAs + "\"y\"\njwt_bundle_file_name = \"x\"\n", test: func(t *testing.T, s *swapped) {
		writes("x")(t, s)
		faultlessly(t, missing(s.path("y")))
	}},
	{name: "integers: 0444 is octal", conf: oneShot + "cert_file_mode = 0444\n", test: certMode(0o444)},
	{name: "integers: 0x1a4 is hexadecimal", conf: oneShot + "cert_file_mode = 0x1a4\n", test: certMode(0o644)},
	{name: `integers: "0640" is octal`, conf: oneShot + "cert_file_mode = \"0640\"\n", test: certMode(0o640)},
	{name: `integers: "0o600" is octal`, conf: oneShot + "cert_file_mode = \"0o600\"\n", test: certMode(0o600)},
	{name: "integers: 444 is decimal, 0674, with a warning", conf: oneShot + "cert_file_mode = 444\n", test: func(t *testing.T, s *swapped) {
		certMode(0o674)(t, s)
		s.log.await(t, "444 is decimal, mode 0674")
		s.log.await(t, "did you mean 0444?")
	}},
	{name: "integers: 644 is decimal, 0204, with a warning", conf: oneShot + "cert_file_mode = 644\n", test: func(t *testing.T, s *swapped) {
		certMode(0o204)(t, s)
		s.log.await(t, "did you mean 0644?")
	}},
	{name: "integers: a negative one is an error", conf: oneShot + "cert_file_mode = -1\n", test: refused("cert_file_mode: a mode cannot be negative")},
	{name: "integers: 0 is the default", conf: oneShot + "cert_file_mode = 0\n", test: certMode(0o644)},
	{name: "booleans: true", conf: "daemon_mode = true\n", test: daemon()},
	{name: "booleans: false", conf: "daemon_mode = false\n", test: writes("svid.pem")},
	{name: `booleans: "false" in quotes is accepted`, conf: "daemon_mode = \"false\"\n", test: writes("svid.pem")},
	{name: `booleans: "true" in quotes is accepted`, conf: "daemon_mode = \"true\"\n", test: daemon()},
	{name: "booleans: a number is an error", conf: "daemon_mode = 0\n", test: refused("daemon_mode: want true or false")},
	{name: "a string key accepts a bare number", bare: true, conf: bundleAs + "5\n", test: writes("5")},
	{name: "${ } stays literal", bare: true, conf: bundleAs + `"${HOME}"`, test: writes("${HOME}")},
	{name: "%{ } stays literal", bare: true, conf: bundleAs + `"%{if}"`, test: writes("%{if}")},
	{name: "health_checks { }", test: answersAs("health_checks {\nlistener_enabled = true\nbind_port = %d\n}\n")},
	{name: "health_checks = { }", test: answersAs("health_checks = { listener_enabled = true, bind_port = %d }\n")},
	{name: "an unknown key in health_checks is an error that names it", conf: "health_checks { liveness = \"/x\" }\n", test: refused(`unknown key "liveness" in health_checks`)},
	{name: "jwt_svids is a list of objects", bare: true, conf: oneShot + "jwt_svids = [{" + entry("a") + "}]", test: writes("a.jwt")},
	{name: "repeated jwt_svids { } blocks are accepted", bare: true, conf: oneShot + "jwt_svids {" + entry("a") + "}\njwt_svids {" + entry("b") + "}\n", test: writes("a.jwt", "b.jwt")},
	{name: "unknown keys: all of them, with file, line, column and a suggestion", conf: "certdir = \"x\"\nfoo = 1\n", test: refused("helper.conf:1:1: error: unknown key \"certdir\"", "did you mean cert_dir?", "helper.conf:2:1: error: unknown key \"foo\"")},
	{name: "unknown keys in an entry of jwt_svids", conf: "jwt_svids = [{zip = 1, " + entry("a") + "}]\n", test: refused(`helper.conf:1:15: error: unknown key "zip" in jwt_svids`)},
	{name: "the camelCase keys of v0.6 are errors that name the new spelling", test: func(t *testing.T, s *swapped) {
		var conf strings.Builder
		keys := []string{"agentAddress agent_address", "cmdArgs cmd_args", "certDir cert_dir", "addIntermediatesToBundle add_intermediates_to_bundle",
			"svidFileName svid_file_name", "svidKeyFileName svid_key_file_name", "svidBundleFileName svid_bundle_file_name", "renewSignal renew_signal"}
		for _, key := range keys {
			fmt.Fprintf(&conf, "%s = \"x\"\n", strings.Fields(key)[0])
		}
		s.configure(conf.String())
		s.run(1)
		for _, key := range keys {
			s.log.await(t, `unknown key "`+strings.Fields(key)[0]) // in the order of the file
			s.log.await(t, "it is spelled "+strings.Fields(key)[1])
		}
	}},

	{name: "cmd_args: an empty one is no argument", conf: `cmd_args = ""`, test: argv()},
	{name: "cmd_args: four arguments", conf: `cmd_args = "-flag1 value1 -flag2 value2"`, test: argv("-flag1", "value1", "-flag2", "value2")},
	{name: "cmd_args: double quotes group", conf: `cmd_args = "-flag1 \"value 1\" -flag2 \"value 2\""`, test: argv("-flag1", "value 1", "-flag2", "value 2")},
	{name: "cmd_args: single quotes within double ones", conf: `cmd_args = "-c \"echo 'hello world'\""`, test: argv("-c", "echo 'hello world'")},
	{name: "cmd_args: an apostrophe", conf: `cmd_args = "echo Mc'Gougall"`, test: argv("echo", "Mc'Gougall")},
	{name: "cmd_args: single quotes mean nothing", conf: `cmd_args = "-c 'echo hello world'"`, test: argv("-c", "'echo", "hello", "world'")},
	{name: "cmd_args: a doubled quote is a quote", conf: `cmd_args = "-c \"echo \"\"hello world\"\"\""`, test: argv("-c", `echo "hello world"`)},
	{name: "cmd_args: an unterminated quote is an error", conf: `cmd_args = "-flag1 \"value 1"`, test: quotesWrongly("unterminated double quote")},
	{name: "cmd_args: a quote behind a backslash is a stray one, an error", conf: `cmd_args = "-c \"echo \\\"hello\\\"\""`, test: quotesWrongly("stray double quote")},
	{name: "cmd_args: a quote within a group is a stray one, an error", conf: `cmd_args = "-c \"a \"b\" c\""`, test: quotesWrongly("stray double quote")},
	{name: "cmd_args: $, {{ }}, ( ), % and * mean nothing", conf: `cmd_args = "$$ $var ${var} {{var}} $(var) %VAR% *"`, test: argv("$$", "$var", "${var}", "{{var}}", "$(var)", "%VAR%", "*")},
	{name: "cmd_args: a backslash means nothing", conf: `cmd_args = "a\\z \\$"`, test: argv(`a\z`, `\$`)},
	{name: "cmd_args: two spaces in a row give an empty argument", conf: `cmd_args = "a  b"`, test: argv("a", "", "b")},

	{name: "the three X.509 names: all or none", bare: true, conf: oneShot + "svid_file_name = \"a\"\nsvid_key_file_name = \"b\"\n", test: refused("svid_bundle_file_name is missing", "all three names or none")},
	{name: "at least one of X.509, jwt_svids and jwt_bundle_file_name", bare: true, conf: inCerts, test: refused("there is nothing to write", "jwt_svids", "jwt_bundle_file_name")},
	{name: "jwt_svids alone", bare: true, conf: oneShot + "jwt_svids = [{" + entry("a") + "}]", test: writes("a.jwt")},
	{name: "jwt_extra_audiences is optional, and so are its elements", bare: true, conf: oneShot + "jwt_svids = [{" + entry("a") + "}, {" + entry("b") + ", jwt_extra_audiences = []}]", test: writes("a.jwt", "b.jwt")},
	{name: "jwt_bundle_file_name alone", bare: true, conf: bundleAs + `"x"`, test: writes("x")},
	{name: "an entry of jwt_svids needs jwt_audience", bare: true, conf: oneShot + `jwt_svids = [{jwt_svid_file_name = "a.jwt"}]`, test: refused("needs jwt_audience")},
	{name: "an entry of jwt_svids needs jwt_svid_file_name", bare: true, conf: oneShot + `jwt_svids = [{jwt_audience = "a"}]`, test: refused("needs jwt_svid_file_name")},
	{name: "pid_file_name needs renew_signal", conf: "pid_file_name = \"x.pid\"\n", test: refused("pid_file_name needs renew_signal")},
	{name: "an empty cmd means no command", conf: "cmd = \"\"\ncmd_args = \"a\"\nrenew_signal = \"SIGHUP\"\n", test: daemon()},
	{name: "signal names: HUP", conf: "cmd = \"stays\"\nrenew_signal = \"HUP\"\n", test: hears("SIGHUP")},
	{name: "signal names: SIGHUP", conf: "cmd = \"stays\"\nrenew_signal = \"SIGHUP\"\n", test: hears("SIGHUP")},
	{name: "signal names: a number", conf: "cmd = \"stays\"\nrenew_signal = 1\n", test: hears("SIGHUP")},
	{name: "unix:///path as address", conf: oneShot, test: addressed("", "")},
}

// writes runs a one-shot, and looks for its files.
func writes(names ...string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.run(0)
		for _, name := range names {
			if s.read(name) == "" {
				t.Errorf("%s is empty", name)
			}
		}
	}
}

// refused is a configuration that is not accepted, for these reasons.
func refused(reasons ...string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.run(1)
		for _, reason := range reasons {
			if !strings.Contains(s.log.String(), reason) {
				t.Errorf("it does not say %q", reason)
			}
		}
	}
}

// certMode runs a one-shot, and looks at the mode of the certificate.
func certMode(want fs.FileMode) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.umask = "0"
		s.run(0)
		info, err := os.Stat(s.path("svid.pem"))
		faultlessly(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode is %04o, want %04o", got, want)
		}
	}
}

// argv looks at what cmd is started with.
func argv(want ...string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		if conf := s.read("helper.conf"); !strings.Contains(conf, "cmd = ") {
			s.configure("cmd = \"exits\"\n" + conf)
		}
		s.start()
		_, got, _ := strings.Cut(s.record.await(t, "exits started"), " started ")
		_, got, _ = strings.Cut(got, " ")
		line := "[]" // as printf has it without an argument
		if len(want) > 0 {
			line = "[" + strings.Join(want, "] [") + "]"
		}
		if got != line {
			t.Errorf("arguments are %s, want %s", got, line)
		}
		s.stop(syscall.SIGTERM, 0)
	}
}

func quotesWrongly(how string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.configure("cmd = \"exits\"\n" + s.read("helper.conf"))
		refused("cmd_args: "+how)(t, s)
	}
}

// hears has the process cmd hear of a rotation.
func hears(signal string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		s.start()
		s.record.await(t, "stays started")
		s.api.Rotate()
		s.record.await(t, "stays "+signal)
	}
}

// answersAs has health answer on a port of its own.
func answersAs(conf string) func(*testing.T, *swapped) {
	return func(t *testing.T, s *swapped) {
		port := freePort(t)
		s.configure(s.read("helper.conf") + fmt.Sprintf(conf, port))
		s.start()
		probe{fmt.Sprintf("http://127.0.0.1:%d", port)}.await(t, "/ready", 200)
	}
}

func TestCompatSyntax(t *testing.T) { testFacts(t, syntaxFacts) }
