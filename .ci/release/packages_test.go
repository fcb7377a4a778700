package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed returns a release whose program is a script that says its version.
func packed(t *testing.T, version, configuration string) *release {
	t.Helper()
	r := newRelease(filepath.Join(t.TempDir(), "top"))
	run(t, "cp", "-r", "../..", r.top)
	config := filepath.Join(r.top, "examples/systemd/helper.conf")
	if err := os.WriteFile(config, append(read(t, config), configuration...), 0o644); err != nil {
		t.Fatal(err)
	}
	r.version, r.dist = version, t.TempDir()
	b := &build{platform: platform{"linux", "amd64"}, binary: filepath.Join(r.top, "svidhelper"), notices: filepath.Join(r.top, "LICENSE")}
	if err := os.WriteFile(b.binary, []byte("#!/bin/sh\necho "+version+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.packages([]*build{b}); err != nil {
		t.Fatal(err)
	}
	return r
}

// newRoot returns the root of a system that has a shell and nothing else.
func newRoot(t *testing.T) string {
	t.Helper()
	need(t, "busybox")
	root := t.TempDir()
	run(t, "sh", "-c", `cd "$1" && mkdir -p bin etc var/lib/dpkg/updates var/lib/dpkg/info var/log usr/bin usr/share tmp && : >var/lib/dpkg/status &&
		cp "$(command -v busybox)" bin/busybox && for p in sh ls cat test; do ln -s busybox bin/$p; done && echo root:x:0:0::/:/bin/sh >etc/passwd && echo root:x:0: >etc/group`, "sh", root)
	return root
}

// A manager is how a format's packages are installed in a root.
type manager struct {
	format        string
	install       func(t *testing.T, root string, paths ...string)
	remove, purge func(t *testing.T, root string, names ...string)
	newConfig     string // what a new configuration is called beside a changed one
	keepsAfter    string // where a removed package's changed configuration is
}

var managers = []manager{
	{format: "deb", newConfig: ".dpkg-dist", keepsAfter: "etc/svidhelper/helper.conf",
		install: func(t *testing.T, root string, paths ...string) {
			run(t, "dpkg", append([]string{"--root=" + root, "--force-confdef", "--force-confold", "--force-depends", "-i"}, paths...)...)
		},
		remove: func(t *testing.T, root string, names ...string) {
			run(t, "dpkg", append([]string{"--root=" + root, "-r"}, names...)...)
		},
		purge: func(t *testing.T, root string, names ...string) {
			run(t, "dpkg", append([]string{"--root=" + root, "-P"}, names...)...)
		}},
	{format: "rpm", newConfig: ".rpmnew", keepsAfter: "etc/svidhelper/helper.conf.rpmsave",
		install: func(t *testing.T, root string, paths ...string) {
			run(t, "rpm", append([]string{"--root=" + root, "--nodeps", "-U"}, paths...)...)
		},
		remove: func(t *testing.T, root string, names ...string) {
			run(t, "rpm", append([]string{"--root=" + root, "-e"}, names...)...)
		}},
}

// TestInstallUpgradeRemove: the life of the packages, as dpkg and rpm lead it. A
// configuration that was changed survives it all, but for a purge.
func TestInstallUpgradeRemove(t *testing.T) {
	needRoot(t, "to install takes root's rights")
	first, second := packed(t, "v1.2.3", ""), packed(t, "v1.2.4-rc.1", "# new\n")
	for _, m := range managers {
		t.Run(m.format, func(t *testing.T) {
			need(t, map[string]string{"deb": "dpkg", "rpm": "rpm"}[m.format])
			root := newRoot(t)
			in := func(name string) string { return filepath.Join(root, name) }
			files := func(r *release) []string {
				all, err := filepath.Glob(r.dist + "/*." + m.format)
				if err != nil || len(all) != 2 {
					t.Fatalf("%q %v", all, err)
				}
				return all
			}
			m.install(t, root, files(first)...)
			for _, name := range []string{"usr/bin/svidhelper", "usr/bin/spiffe-helper"} {
				if got := run(t, "chroot", root, "/"+name); got != "v1.2.3\n" {
					t.Errorf("%s says %s", name, got)
				}
			}
			for _, name := range []string{"usr/lib/systemd/system/svidhelper.service", "usr/lib/systemd/system/svidhelper@.service", "usr/lib/sysusers.d/svidhelper.conf",
				"usr/share/man/man1/svidhelper.1", "usr/share/man/man5/helper.conf.5", "usr/share/bash-completion/completions/svidhelper",
				"usr/share/doc/svidhelper/copyright", "usr/share/doc/svidhelper/THIRD_PARTY_NOTICES", "usr/share/doc/svidhelper/examples/nginx/helper.conf"} {
				read(t, in(name))
			}
			lead(t, in("usr/share/doc/svidhelper"))
			mode(t, in("usr/share/doc/svidhelper/examples"))
			config := in("etc/svidhelper/helper.conf")
			mine := []byte("# mine\n")
			if err := os.WriteFile(config, mine, 0o644); err != nil {
				t.Fatal(err)
			}

			m.install(t, root, files(second)...)
			if got := run(t, "chroot", root, "/usr/bin/svidhelper"); got != "v1.2.4-rc.1\n" {
				t.Errorf("after the upgrade: %s", got)
			}
			if got := read(t, config); string(got) != string(mine) {
				t.Errorf("the upgrade has changed the configuration: %s", got)
			}
			if got := read(t, config+m.newConfig); !strings.HasSuffix(string(got), "# new\n") {
				t.Errorf("beside it: %s", got)
			}

			m.remove(t, root, "svidhelper-spiffe-helper", "svidhelper")
			if _, err := os.Lstat(in("usr/bin/spiffe-helper")); err == nil {
				t.Error("the link is still there")
			}
			if got := read(t, in(m.keepsAfter)); string(got) != string(mine) {
				t.Errorf("the removal leaves %s", got)
			}
			if m.purge != nil {
				m.purge(t, root, "svidhelper", "svidhelper-spiffe-helper")
				if _, err := os.Stat(in("etc/svidhelper")); err == nil {
					t.Error("the purge leaves /etc/svidhelper")
				}
			}
		})
	}
}

// TestUser: the unit's user comes to be.
func TestUser(t *testing.T) {
	need(t, "systemd-sysusers")
	needRoot(t, "to add a user takes root's rights")
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	config, err := filepath.Abs("../../examples/systemd/sysusers.conf")
	if err != nil {
		t.Fatal(err)
	}
	run(t, "systemd-sysusers", "--root="+root, config)
	if got := string(read(t, filepath.Join(root, "etc/passwd"))); !strings.HasPrefix(got, "svidhelper:") {
		t.Errorf("the users are %q", got)
	}
}

// TestUnits: systemd finds nothing wrong with the units, and little that is open.
func TestUnits(t *testing.T) {
	need(t, "systemd-analyze")
	for _, name := range []string{"svidhelper.service", "svidhelper@.service"} {
		unit := string(read(t, "../../examples/systemd/"+name))
		for _, want := range []string{"ExecStart=/usr/bin/svidhelper run ", "Type=notify\n", "WatchdogSec=", "User=svidhelper\n"} {
			if !strings.Contains(unit, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
		path := filepath.Join(t.TempDir(), strings.Replace(name, "@", "@x", 1))
		// systemd wants the program and the manuals to be there.
		unit = strings.NewReplacer("/usr/bin/svidhelper", "/bin/true", "Documentation=", "#").Replace(unit)
		if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
			t.Fatal(err)
		}
		if out := run(t, "systemd-analyze", "verify", path); strings.Contains(out, filepath.Base(path)) {
			t.Error(out)
		}
		run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", path) // in tenths
	}
}

// TestPackageVersions: packages are sorted as releases are, whatever git describe
// says of them.
func TestPackageVersions(t *testing.T) {
	older := ""
	for _, c := range []struct{ described, want string }{
		{"3d4eec3", "0~3d4eec3"},
		{"v1.0.0-rc.1", "1.0.0~rc.1"},
		{"v1.0.0-rc.1-3-g3d4eec3", "1.0.0~rc.1+3.g3d4eec3"},
		{"v1.0.0", "1.0.0"},
		{"v1.0.0-12-g3d4eec3-dirty", "1.0.0+12.g3d4eec3+dirty"},
		{"v1.0.1", "1.0.1"},
	} {
		if got := packageVersion(c.described); got != c.want {
			t.Errorf("%s: %s, want %s", c.described, got, c.want)
		}
		if older != "" {
			run(t, "dpkg", "--compare-versions", older, "lt", c.want)
		}
		older = c.want
	}
}
