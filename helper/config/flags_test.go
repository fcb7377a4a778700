package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/writer"
)

func TestFlagsAloneAreEnough(t *testing.T) {
	on, rotation := "QUIT", supervisor.Rotation{Signal: mustSignal("QUIT")}
	if runtime.GOOS == "windows" {
		on, rotation = "restart", supervisor.Rotation{Action: supervisor.RotationRestart}
	}
	c, ds := new(Loader).Load(Flags{Dir: "/run/tls", OnRotation: on, Command: []string{"nginx", "-g", "daemon off;"}}, "")
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	want := &Config{
		Outputs: []encode.Output{{Spec: writer.Spec{Dir: "/run/tls"}, X509SVIDs: []encode.X509SVID{{
			Cert: encode.FileSpec{Name: "svid.pem"}, Key: encode.FileSpec{Name: "svid_key.pem"}, Bundle: encode.FileSpec{Name: "svid_bundle.pem"}}}}},
		Process: &Process{supervisor.Spec{Command: []string{"nginx", "-g", "daemon off;"}, OnRotation: rotation}, Target{On: defaultKinds}, 0, false, false},
	}
	if d := diff(want, c); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	checkRoundTrip(t, c)
}

func TestFlagsOverTheFile(t *testing.T) {
	no := false
	yes := true
	native := `output "/d" {
  x509_svid { cert = "c" }
}` + "\n"
	process := `process {
  command = ["x"]
  on_rotation = "HUP"
  dir = "/srv"
}` + "\n"
	for _, c := range []struct {
		name  string
		flags Flags
		src   string
		check func(t *testing.T, c *Config)
		want  string // an error; several parts are separated by |
	}{
		{"-agent-address is over the file's", Flags{AgentAddress: "/run/other.sock"}, native + `agent_address = "/run/a.sock"`, address("unix:///run/other.sock"), ""},
		{"-agent-address that is none", Flags{AgentAddress: "http://x"}, native, nil, "command line: error: -agent-address|not a scheme"},
		{"-dir takes the place of the only output's directory", Flags{Dir: "/other"}, native, func(t *testing.T, c *Config) {
			if o := c.Outputs[0]; o.Dir != "/other" || o.X509SVIDs[0].Cert.Name != "c" || len(c.Outputs) != 1 {
				t.Errorf("outputs are %+v", c.Outputs)
			}
		}, ""},
		{"-dir takes the place of cert_dir", Flags{Dir: "/other"}, `cert_dir = "/d"` + x509Names, directory("/other"), ""},
		{"-dir adds the output that the file lacks", Flags{Dir: "/other"}, process, func(t *testing.T, c *Config) {
			if o := c.Outputs[0]; o.Dir != "/other" || o.X509SVIDs[0].Cert.Name != "svid.pem" {
				t.Errorf("outputs are %+v", c.Outputs)
			}
		}, ""},
		{"-dir adds the names that flat keys lack", Flags{Dir: "/other"}, "hint = \"h\"\nkey_file_mode = 0640\ncert_dir = \"/d\"", func(t *testing.T, c *Config) {
			if x := x509(c); c.Outputs[0].Dir != "/other" || x.Select.Hint != "h" || x.Key != (encode.FileSpec{Name: "svid_key.pem", Mode: 0o640}) {
				t.Errorf("outputs are %+v", c.Outputs)
			}
		}, ""},
		{"-dir beside several outputs", Flags{Dir: "/other"}, native + `output "/e" {
  x509_svid {}
}`, nil, "command line: error: -dir: the file has 2 outputs"},
		{"a command takes the place of process.command", Flags{Command: []string{"y", "z"}}, native + process, func(t *testing.T, c *Config) {
			command("y", "z")(t, c)
			if c.Process.Dir != "/srv" {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
		{"a command for a process that has none", Flags{Command: []string{"y"}}, native + `process {
  dir = "/srv"
  on_rotation = "HUP"
}`, command("y"), ""},
		{"a command where there is no process", Flags{Command: []string{"y"}, OnRotation: "none"}, native, command("y"), ""},
		{"a command without -on-rotation", Flags{Command: []string{"y"}}, native, nil, `command line: error: the process needs -on-rotation, which has no default|"SIGHUP"|"restart"|"none"`},
		{"a command beside renew_signal", Flags{Command: []string{"y"}}, "renew_signal = \"USR1\"" + x509Names, func(t *testing.T, c *Config) {
			if c.Process.OnRotation != (supervisor.Rotation{Signal: mustSignal("USR1")}) || c.Process.Restart != supervisor.RestartNever {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
		{"a command beside an empty renew_signal", Flags{Command: []string{"y"}}, "renew_signal = \"\"" + x509Names, func(t *testing.T, c *Config) {
			if c.Process.OnRotation.Action != supervisor.RotationNone {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
		{"a command takes the place of cmd", Flags{Command: []string{"y"}}, "cmd = \"x\"\ncmd_args = \"a\"" + x509Names, func(t *testing.T, c *Config) {
			command("y")(t, c)
			if c.Process.Restart != supervisor.RestartOnRotation {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
		{"-on-rotation overrides", Flags{OnRotation: "restart"}, native + process, func(t *testing.T, c *Config) {
			if c.Process.OnRotation.Action != supervisor.RotationRestart {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
		{"-on-rotation of an unknown signal", Flags{OnRotation: "HUPP"}, native + process, nil, `command line: error: -on-rotation: there is no signal "HUPP"|did you mean SIGHUP?`},
		{"-on-rotation without a process", Flags{OnRotation: "HUP"}, native, nil, "command line: error: -on-rotation: there is no process|give a command after --"},
		{"-daemon-mode=false overrides nothing", Flags{DaemonMode: &no}, native, func(t *testing.T, c *Config) {
			if !c.OneShot {
				t.Error("not one-shot")
			}
		}, ""},
		{"-daemon-mode overrides the file", Flags{DaemonMode: &yes}, "daemon_mode = false\npid_file_name = \"/p\"\nrenew_signal = \"HUP\"" + x509Names, func(t *testing.T, c *Config) {
			if c.OneShot || len(c.Hooks) != 1 {
				t.Errorf("got %+v", c)
			}
		}, ""},
		{"-daemon-mode=false and pid_file_name", Flags{DaemonMode: &no}, "pid_file_name = \"/p\"\nrenew_signal = \"HUP\"" + x509Names, nil, "pid_file_name cannot be used"},
		{"fetch has no use for pid_file_name, and says nothing", Flags{Fetch: true}, "cmd = \"x\"\npid_file_name = \"/p\"\nrenew_signal = \"HUP\"" + x509Names, func(t *testing.T, c *Config) {
			if !c.OneShot || c.Process != nil || c.Hooks != nil {
				t.Errorf("got %+v", c)
			}
		}, ""},
		{"fetch runs the command on the command line only", Flags{Fetch: true, Command: []string{"y"}}, native + process, func(t *testing.T, c *Config) {
			command("y")(t, c)
			if c.Process.Dir != "" {
				t.Errorf("process is %+v", c.Process)
			}
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ds := c.flags.parse("helper.conf", []byte(c.src), "linux")
			if c.want != "" {
				if got != nil || !has(ds, Error, strings.Split(c.want, "|")...) {
					t.Errorf("want an error with %q, got\n%v", c.want, ds)
				}
				return
			}
			if len(ds) > 0 {
				t.Fatalf("unexpected:\n%v", ds)
			}
			c.check(t, got)
			if !got.OneShot {
				checkRoundTrip(t, got)
			}
		})
	}
}

func TestNoFlagsAndNoFile(t *testing.T) {
	c, ds := new(Loader).Load(Flags{}, "")
	if c != nil || !has(ds, Error, "command line: error", "nothing to write", "-dir") {
		t.Errorf("got %v", ds)
	}
}

func TestOnRotationOnWindows(t *testing.T) {
	f := Flags{Dir: "d", Command: []string{"x"}, OnRotation: "HUP"}
	if c, ds := f.parse(commandLine, nil, "windows"); c != nil || !has(ds, Error, "-on-rotation: there are no signals on Windows") {
		t.Errorf("got %v", ds)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "helper.conf")
	if err := os.WriteFile(path, []byte(x509Names), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, ds := new(Loader).Load(Flags{}, path); c == nil {
		t.Error(ds)
	}
	for _, missing := range []string{path + ".not", dir} {
		if c, ds := new(Loader).Load(Flags{}, missing); c != nil || !has(ds, Error, missing, "cannot read the configuration") {
			t.Errorf("%s: got %v", missing, ds)
		}
	}
}

// canonical is an address as the configuration keeps it.
func canonical(s, goos string) (string, error) {
	a, err := source.ParseAddress(s, goos)
	if err != nil {
		return "", err
	}
	return a.String(), nil
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ goos, in, want string }{
		{"linux", "/run/a.sock", "unix:///run/a.sock"},
		{"linux", "//run//a.sock", "unix:///run/a.sock"},
		{"linux", "unix:/run/a.sock", "unix:///run/a.sock"},
		{"linux", "unix:///run/a.sock", "unix:///run/a.sock"},
		{"linux", "unix:///run/../a.sock", "unix:///a.sock"},
		{"linux", "/run/with:colon", "unix:///run/with:colon"},
		{"linux", "tcp://127.0.0.1:80", "tcp://127.0.0.1:80"},
		{"linux", "tcp://[::1]:80", "tcp://[::1]:80"},
		{"windows", `spire-agent\public\api`, `npipe:spire-agent\public\api`},
		{"windows", `npipe:spire-agent\public\api`, `npipe:spire-agent\public\api`},
		{"windows", `\\.\pipe\spire-agent`, `npipe:spire-agent`},
		{"windows", "npipe:spire-agent/public/api", `npipe:spire-agent\public\api`},
		{"windows", "tcp://127.0.0.1:80", "tcp://127.0.0.1:80"},
		{"linux", "", ""}, {"linux", "a.sock", ""}, {"linux", "./a.sock", ""}, {"linux", "unix:a.sock", ""}, {"linux", "unix://a.sock", ""}, {"linux", "unix://a/b.sock", ""},
		{"linux", "unix:///", ""}, {"linux", "/run/", ""}, {"linux", "unix:///a?b", ""}, {"linux", "unix:///a#b", ""}, {"linux", "/a\nb", ""},
		{"linux", "tcp://localhost:80", ""}, {"linux", "tcp://127.0.0.1", ""}, {"linux", "tcp://127.0.0.1:0", ""}, {"linux", "tcp:127.0.0.1:80", ""}, {"linux", "tcp://127.0.0.1:80/x", ""},
		{"linux", "npipe:x", ""}, {"linux", "http://x", ""}, {"linux", "UNIX:///x", ""}, {"windows", "/run/a.sock", ""}, {"windows", "npipe:", ""},
	} {
		got, err := canonical(c.in, c.goos)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: parseAddress(%q) = %q, %v; want %q", c.goos, c.in, got, err, c.want)
		}
		if err == nil {
			if again, err := canonical(got, c.goos); again != got || err != nil {
				t.Errorf("%s: parseAddress(%q) = %q, %v", c.goos, got, again, err)
			}
		}
	}
}
