//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall: make install LINK=1 installs a program that answers to both
// names.
func TestInstall(t *testing.T) {
	dir := t.TempDir()
	run(t, "make", "-C", "../..", "install", "LINK=1", "DESTDIR="+dir, "PREFIX=/usr")
	for _, name := range []string{"svidhelper", "spiffe-helper"} {
		if out := run(t, filepath.Join(dir, "usr/bin", name), "-version"); !strings.HasPrefix(out, "svidhelper ") {
			t.Errorf("%s -version: %s", name, out)
		}
	}
}

// TestPackage: the packages hold what is to be installed, and the link is in
// one of its own that takes spiffe-helper's place.
func TestPackage(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		if os.Getenv("SVIDHELPER_TEST_STRICT") != "" {
			t.Fatal(err)
		}
		t.Skip("dpkg-deb is not installed")
	}
	dir := t.TempDir() // a small program stands in for ours: to compress that takes seconds
	run(t, "sh", "../../.ci/package.sh", "testdata/compat/exits", "v1.2.3", "all", dir)
	root := filepath.Join(dir, "root")
	for _, deb := range []string{"svidhelper_1.2.3_all.deb", "svidhelper-spiffe-helper_1.2.3_all.deb"} {
		run(t, "dpkg-deb", "-x", filepath.Join(dir, deb), root)
	}
	for _, name := range []string{
		"usr/bin/svidhelper", "usr/bin/spiffe-helper", "usr/lib/systemd/system/svidhelper.service",
		"usr/share/doc/svidhelper/copyright", "usr/share/doc/svidhelper/helper.conf.example",
		"usr/share/doc/svidhelper/examples/nginx/helper.conf",
	} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	checkUnit(t, filepath.Join(root, "usr/lib/systemd/system/svidhelper.service"), "/usr/bin/svidhelper")
	fields := run(t, "dpkg-deb", "-f", filepath.Join(dir, "svidhelper-spiffe-helper_1.2.3_all.deb"))
	for _, field := range []string{"Conflicts: spiffe-helper", "Provides: spiffe-helper", "Depends: svidhelper (>= 1.2.3)"} {
		if !strings.Contains(fields, field) {
			t.Errorf("no %q in\n%s", field, fields)
		}
	}
}

// TestExampleUnits: systemd finds nothing wrong with the units of the examples.
func TestExampleUnits(t *testing.T) {
	for _, unit := range []string{"../../examples/systemd/svidhelper.service", "../../examples/stunnel/svidhelper-stunnel.service"} {
		path := filepath.Join(t.TempDir(), filepath.Base(unit))
		text, err := os.ReadFile(unit)
		if err == nil { // its socket is another unit
			err = os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "Requires=", "#Requires=")), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkUnit(t, path, "/usr/local/bin/svidhelper")
	}
}

// checkUnit has systemd judge the unit, where there is systemd.
func checkUnit(t *testing.T, path, program string) {
	t.Helper()
	unit, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(unit), "ExecStart="+program+" ") || !strings.Contains(string(unit), "Type=notify\n") {
		t.Errorf("the unit: %v\n%s", err, unit)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		return
	}
	// It wants the program to be there.
	there := strings.ReplaceAll(string(unit), program, "/bin/true")
	if err := os.WriteFile(path, []byte(there), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "systemd-analyze", "verify", path); strings.Contains(out, filepath.Base(path)) {
		t.Error(out)
	}
}

// TestPackageVersions: packages are sorted as releases are, whatever git
// describe says of them.
func TestPackageVersions(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed; TestPackage says so")
	}
	t.Parallel()
	dir := t.TempDir()
	older := ""
	for _, c := range []struct{ described, want string }{
		{"3d4eec3", "0~3d4eec3"},
		{"v1.0.0-rc.1", "1.0.0~rc.1"},
		{"v1.0.0-rc.1-3-g3d4eec3", "1.0.0~rc.1+3.g3d4eec3"},
		{"v1.0.0", "1.0.0"},
		{"v1.0.0-12-g3d4eec3-dirty", "1.0.0+12.g3d4eec3+dirty"},
		{"v1.0.1", "1.0.1"},
	} {
		run(t, "sh", "../../.ci/package.sh", "testdata/compat/exits", c.described, "all", dir)
		if _, err := os.Stat(filepath.Join(dir, "svidhelper_"+c.want+"_all.deb")); err != nil {
			t.Errorf("%s: %v", c.described, err)
		}
		if older != "" {
			run(t, "dpkg", "--compare-versions", older, "lt", c.want)
		}
		older = c.want
	}
	run(t, "sh", "../../.ci/package.sh", "testdata/compat/exits", "v1.0.0", "arm", dir)
	if got := run(t, "dpkg-deb", "-f", filepath.Join(dir, "svidhelper_1.0.0_armhf.deb"), "Architecture"); got != "armhf\n" {
		t.Errorf("the architecture is %s", got)
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}
