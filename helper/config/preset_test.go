package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/supervisor"
)

// TestPresetsAreWhole: each preset is a configuration by itself, without a warning,
// that has no more than one output, one process and one hook.
func TestPresetsAreWhole(t *testing.T) {
	for _, name := range presetNames() {
		src, err := presets.ReadFile("presets/" + name + ".hcl")
		if err != nil {
			t.Fatal(err)
		}
		c, ds := mustParse(t, string(src))
		if len(ds) > 0 {
			t.Errorf("%s: %v", name, ds)
		}
		if len(c.Outputs) != 1 || len(c.Hooks) > 1 || c.Health != nil {
			t.Errorf("%s has %d outputs, %d hooks", name, len(c.Outputs), len(c.Hooks))
		}
	}
}

// TestPresetIsTheExample: the example of each preset says no more than that it
// wants it, and so has everything that the preset says.
func TestPresetIsTheExample(t *testing.T) {
	names := presetNames()
	if len(names) < 7 {
		t.Fatalf("only the presets %q", names)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples", name, "helper.conf"))
		if err != nil {
			t.Errorf("preset %s has no example: %v", name, err)
			continue
		}
		src, err := presets.ReadFile("presets/" + name + ".hcl")
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := mustParse(t, string(src))
		example, ds := mustParse(t, string(text))
		if len(ds) > 0 {
			t.Errorf("%s: %v", name, ds)
		}
		if d := diff(whole.Outputs, example.Outputs); d != "" {
			t.Errorf("the output of %s (-preset +example):\n%s", name, d)
		}
		if d := diff(whole.Process, example.Process); d != "" && example.Process != nil {
			t.Errorf("the process of %s (-preset +example):\n%s", name, d)
		}
		if d := diff(whole.Hooks, example.Hooks); d != "" && len(example.Hooks) > 0 {
			t.Errorf("the hook of %s (-preset +example):\n%s", name, d)
		}
	}
}

// TestPresetsInTheReadme: the table of the README has a line for each preset, which
// names the files that the service reads and the signal that it gets, as the preset does.
func TestPresetsInTheReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range presetNames() {
		line := regexp.MustCompile(`(?m)^\| \[[^|]*\(examples/` + name + `\)[^|]* \| ([^|]*) \| ([^|]*) \|`).FindSubmatch(readme)
		if line == nil {
			t.Errorf("%s has no line", name)
			continue
		}
		src, err := presets.ReadFile("presets/" + name + ".hcl")
		if err != nil {
			t.Fatal(err)
		}
		c, _ := mustParse(t, string(src))
		x := c.Outputs[0].X509SVIDs[0]
		given := map[string]bool{"cert": x.Cert.Wanted(), "key": x.Key.Wanted(), "bundle": x.Bundle.Wanted(), "combined": x.Combined.Wanted(), "truststore": x.Truststore != nil}
		for _, file := range strings.Split(string(line[1]), ", ") {
			if !given[file] {
				t.Errorf("%s: the preset has no %s", name, file)
			}
		}
		hears := ""
		switch p := c.Process; {
		case p == nil || p.OnRotation.Action == supervisor.RotationNone:
		case p.OnRotation.Action == supervisor.RotationRestart:
			hears = "restart"
		default:
			hears = supervisor.SignalName(p.OnRotation.Signal)
		}
		if !strings.Contains(string(line[2]), hears) {
			t.Errorf("%s: the preset says %s, the README %s", name, hears, line[2])
		}
	}
}

// TestPreset: what the file says wins, key by key; the rest is the preset's.
func TestPreset(t *testing.T) {
	s := compiledSchema(t)
	const nginx = "output \"/d\" {\n preset = \"nginx\"\n}\n"
	for _, c := range []struct {
		name, src string
		same      string // what it is spelled out
	}{
		{"all of it", nginx + "process {\n preset = \"nginx\"\n}\n", `
output "/d" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}
process {
  command      = ["nginx", "-g", "daemon off;"]
  on_rotation  = "SIGHUP"
  stop_signal  = "SIGQUIT"
  stop_timeout = "30s"
  proof {
    tls        = "127.0.0.1:8443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}`},
		{"keys of the file, before and after", `
output "/d" {
  owner  = "root"
  preset = "nginx"
  group  = "nginx"
  x509_svid {
    hint   = "internal"
    key    = { file = "other.key", mode = "0640" }
  }
}
process {
  on_rotation = "restart"
  preset      = "nginx"
  command     = ["/opt/nginx"]
  stop_timeout = null
  proof {
    tls = "127.0.0.1:443"
  }
}`, `
output "/d" {
  owner = "root"
  group = "nginx"
  x509_svid {
    hint   = "internal"
    cert   = "tls.crt"
    key    = { file = "other.key", mode = "0640" }
    bundle = "ca.crt"
  }
}
process {
  command     = ["/opt/nginx"]
  on_rotation = "restart"
  stop_signal = "SIGQUIT"
  proof {
    tls        = "127.0.0.1:443"
    timeout    = "10s"
    on_failure = ["signal", "restart"]
  }
}`},
		{"several of what may be given again", `
output "/d" {
  preset = "nginx"
  x509_svid {
    cert = "a.crt"
    key  = "a.key"
  }
  x509_svid {
    hint = "b"
    cert = "b.crt"
    key  = "b.key"
  }
}`, `
output "/d" {
  x509_svid {
    cert = "a.crt"
    key  = "a.key"
  }
  x509_svid {
    hint = "b"
    cert = "b.crt"
    key  = "b.key"
  }
}`},
		{"a block that is not wanted", nginx + "process {\n preset = \"nginx\"\n proof = null\n stop_signal = null\n stop_timeout = null\n}", `
output "/d" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}
process {
  command     = ["nginx", "-g", "daemon off;"]
  on_rotation = "SIGHUP"
}`},
		{"JSON", `{"output": {"/d": {"preset": "nginx", "x509_svid": {"bundle": null}}},
"process": {"preset": "nginx", "stop_signal": null, "stop_timeout": null, "proof": {"tls": "[::1]:443", "timeout": "1s"}}}`, `
output "/d" {
  x509_svid {
    cert = "tls.crt"
    key  = "tls.key"
  }
}
process {
  command     = ["nginx", "-g", "daemon off;"]
  on_rotation = "SIGHUP"
  proof {
    tls        = "[::1]:443"
    timeout    = "1s"
    on_failure = ["signal", "restart"]
  }
}`},
		{"a hook, under another name", nginx + "hook \"broker\" {\n preset = \"mosquitto\"\n pid_file = \"/run/broker.pid\"\n}", `
output "/d" {
  x509_svid {
    cert   = "tls.crt"
    key    = "tls.key"
    bundle = "ca.crt"
  }
}
hook "broker" {
  on       = ["x509"]
  pid_file = "/run/broker.pid"
  signal   = "SIGHUP"
  proof {
    tls        = "127.0.0.1:8883"
    timeout    = "10s"
    on_failure = ["signal"]
  }
}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ds := mustParse(t, c.src)
			if len(ds) > 0 {
				t.Error(ds)
			}
			want, _ := mustParse(t, c.same)
			if d := diff(want, got); d != "" {
				t.Errorf("(-spelled out +preset):\n%s", d)
			}
			if err := s.Validate(schemaValue(t, asJSON(t, []byte(c.src)))); err != nil {
				t.Errorf("the schema refuses it: %v", err)
			}
			if strings.Contains(string(Print(got)), "preset") {
				t.Errorf("a preset is printed, not what it stands for:\n%s", Print(got))
			}
		})
	}
}

// TestPresetMistakes: what is wrong about a preset, or about what came from it, says
// so, at a place of the file.
func TestPresetMistakes(t *testing.T) {
	for _, c := range []struct {
		name, goos, src string
		want            string // a regular expression
	}{
		{"an unknown one", "linux", "output \"/d\" {\n preset = \"ngnix\"\n x509_svid {}\n}",
			`(?s)^helper.conf:2:11: error: there is no preset "ngnix"\n  2 \|  preset = "ngnix".*did you mean nginx\?\n$`},
		{"one that leads elsewhere", "linux", "output \"/d\" {\n preset = \"../presets/nginx\"\n x509_svid {}\n}", `helper.conf:2:11: error: there is no preset .*\n.*\n.*\n  they are .*haproxy, `},
		{"no string", "linux", "output \"/d\" {\n preset = true\n x509_svid {}\n}", `helper.conf:2:11: error: preset: want a string`},
		{"a block that it lacks", "linux", "output \"/d\" {\n x509_svid {}\n}\nhook \"h\" {\n preset = \"nginx\"\n pid_file = \"/p\"\n}", `helper.conf:5:11: error: preset "nginx" has no hook, only output and process\n`},
		{"twice", "linux", "output \"/d\" {\n preset = \"nginx\"\n}\nprocess {\n preset = \"nginx\"\n proof {\n }\n proof {\n }\n}", `proof is given twice`},
		{"another way to be told", "linux", "output \"/d\" {\n preset = \"redis\"\n}\nhook \"redis\" {\n preset = \"redis\"\n pid_file = \"/p\"\n}",
			`(?s)hook "redis" needs exactly one of command, pid_file and process_name\n.*  preset "redis" has command: write command = null to leave it out\n`},
		{"a file's name", "linux", "output \"/d\" {\n preset = \"nginx\"\n x509_svid {\n  cert = \"tls.key\"\n }\n}",
			`helper.conf:2:11: error: key: "tls.key" is already the name of cert, line 4 \(preset "nginx"\)\n  2 \|  preset = "nginx"\n`},
		{"another operating system", "windows", "output \"C:/d\" {\n x509_svid {}\n}\nprocess {\n preset = \"nginx\"\n}",
			`helper.conf:5:11: error: stop_signal does not work on this operating system \(preset "nginx"\)\n`},
		{"in a place that has none", "linux", "preset = \"nginx\"\noutput \"/d\" {\n x509_svid {}\n}", `(?s)unknown key "preset".*it belongs in output, process or hook`},
		{"in a file of spiffe-helper's", "linux", "preset = \"nginx\"\ncert_dir = \"/d\"" + x509Names, `unknown key "preset"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, ds := parseOn(c.goos, c.src)
			if !regexp.MustCompile(c.want).MatchString(ds.String()) {
				t.Errorf("%s\ndoes not match %s", ds, c.want)
			}
		})
	}
}
