package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// A build is the program for one platform.
type build struct {
	platform
	binary  string // its path
	info    *debug.BuildInfo
	notices string // the path of the licenses of what is linked
}

// modules returns what is linked, beside our own module.
func (b *build) modules() []*debug.Module {
	var all []*debug.Module
	for _, m := range b.info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	return all
}

// build builds the program and gathers the licenses that it comes under.
func (r *release) build(p platform, dir string) (*build, error) {
	b := &build{platform: p, binary: filepath.Join(dir, "svidhelper"), notices: filepath.Join(dir, "THIRD_PARTY_NOTICES")}
	if p.os == "windows" {
		b.binary += ".exe"
	}
	// The version of the source stands in the program by -ldflags. What the go
	// command would note of git differs with the form of the checkout.
	_, err := r.goCommand(p, "build", "-buildvcs=false", "-trimpath", "-tags", r.tags, "-ldflags", r.ldflags, "-o", b.binary, "./cmd/svidhelper")
	if err != nil {
		return nil, err
	}
	if b.info, err = buildinfo.ReadFile(b.binary); err != nil {
		return nil, err
	}
	notices, err := r.noticesOf(b)
	if err != nil {
		return nil, err
	}
	return b, os.WriteFile(b.notices, []byte(notices), 0o644)
}

func (r *release) goCommand(p platform, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = r.top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, failed.Stderr)
	}
	return string(out), err
}

// noticesOf returns the licenses of Go itself and of each module that is linked.
func (r *release) noticesOf(b *build) (string, error) {
	root, err := r.goCommand(b.platform, "env", "GOROOT")
	if err != nil {
		return "", err
	}
	var all strings.Builder
	all.WriteString("svidhelper is linked with what follows, each under the license that stands with it.\n")
	if err := addLicenses(&all, "The Go standard library", strings.TrimSpace(root)); err != nil {
		return "", err
	}
	for _, m := range b.modules() {
		dir, err := r.goCommand(b.platform, "list", "-m", "-f", "{{.Dir}}", m.Path)
		if err != nil {
			return "", err
		}
		if err := addLicenses(&all, m.Path+" "+m.Version, strings.TrimSpace(dir)); err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// addLicenses appends the license of what is in dir. A module without one cannot
// be released.
func addLicenses(all *strings.Builder, what, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, f := range files {
		stem := strings.ToUpper(strings.TrimSuffix(f.Name(), filepath.Ext(f.Name())))
		if f.IsDir() || !slices.Contains([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE"}, stem) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("-", 72), what, f.Name(), strings.TrimSpace(string(text)))
		found = found || stem != "NOTICE"
	}
	if !found {
		return fmt.Errorf("%s has no license file: it cannot be passed on", what)
	}
	return nil
}
