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
	run(t, "make", "-C", "../..", "install", "LINK=1", "DESTDIR="+dir, "PREFIX=/opt")
	for _, name := range []string{"svidhelper", "spiffe-helper"} {
		if out := run(t, filepath.Join(dir, "opt/bin", name), "-version"); !strings.HasPrefix(out, "svidhelper ") {
			t.Errorf("%s -version: %s", name, out)
		}
	}
	for _, name := range []string{"share/man/man1/svidhelper.1", "share/man/man5/helper.conf.5", "share/bash-completion/completions/svidhelper",
		"share/zsh/site-functions/_svidhelper", "share/fish/vendor_completions.d/svidhelper.fish", "lib/sysusers.d/svidhelper.conf"} {
		if _, err := os.Stat(filepath.Join(dir, "opt", name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"svidhelper.service", "svidhelper@.service"} {
		checkUnit(t, filepath.Join(dir, "opt/lib/systemd/system", name), "/opt/bin/svidhelper")
	}
}

// TestExampleUnits: systemd finds nothing wrong with the units of the examples.
func TestExampleUnits(t *testing.T) {
	for _, unit := range []string{"../../examples/stunnel/svidhelper-stunnel.service"} {
		path := filepath.Join(t.TempDir(), filepath.Base(unit))
		text, err := os.ReadFile(unit)
		if err == nil { // its socket is another unit
			err = os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "Requires=", "#Requires=")), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkUnit(t, path, "/usr/bin/svidhelper")
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
	// It wants the program and the manuals to be there.
	there := strings.NewReplacer(program, "/bin/true", "Documentation=", "#").Replace(string(unit))
	if err := os.WriteFile(path, []byte(there), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "systemd-analyze", "verify", path); strings.Contains(out, filepath.Base(path)) {
		t.Error(out)
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
