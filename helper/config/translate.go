package config

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
)

// translate adds what the flat keys say to c, which holds what the native ones
// do.
func (f *dropIn) translate(d *decoder, c *Config, at places, flags Flags) {
	f.badArgs.report(d, f.cmd != "" && !c.OneShot)
	f.badRenew.report(d, f.cmd != "" && !c.OneShot || f.pidFile != "" || c.Process != nil)
	f.conflicts(d, at)
	f.output(d, c, at, flags)
	rotation := f.renew
	if rotation.Signal == 0 {
		rotation.Action = supervisor.RotationNone
	}
	if f.cmd != "" && c.Process == nil {
		c.Process = &Process{Spec: supervisor.Spec{
			Command:    append([]string{f.cmd}, f.args...),
			OnRotation: rotation,
			Restart:    supervisor.RestartOnRotation,
		}}
		if f.svid != "" && (len(f.jwts) > 0 || f.jwtBundle != "") {
			// spiffe-helper starts it after the first X.509-SVID, whatever
			// becomes of the tokens.
			c.Process.StartWithout = snapshot.KindJWT
		}
	}
	if len(flags.Command) > 0 && c.Process == nil && at.has("renew_signal") {
		c.Process = &Process{Spec: supervisor.Spec{OnRotation: rotation}}
	}
	if f.pidFile != "" {
		f.hook(d, c, at.of("pid_file_name"), flags)
	}
	if f.health != nil && f.health.enabled && c.Health == nil && !c.OneShot {
		c.Health = f.health.translate(d)
	}
}

// conflicts refuses what is said in both dialects.
func (f *dropIn) conflicts(d *decoder, at places) {
	both := func(native, flat string) {
		if at.has(native) && at.has(flat) {
			d.errorf(at.of(flat), "keep one of them", "%s and %s (line %d) say the same thing twice", flat, native, d.line(at.of(native)))
		}
	}
	switch {
	case f.cmd != "":
		both("process", "cmd")
	case len(f.args) > 0:
		both("process", "cmd_args")
	case f.renew.Signal != 0 && f.pidFile == "":
		both("process", "renew_signal")
	}
	both("health", "health_checks")
}

// warnOneShot says what has no effect on a run that writes everything once.
func (f *dropIn) warnOneShot(d *decoder, c *Config, at places) {
	for _, k := range []struct {
		key   string
		given bool
	}{{"cmd", f.cmd != ""}, {"renew_signal", f.renew.Signal != 0}, {"process", c.Process != nil}, {"hook", len(c.Hooks) > 0}} {
		if k.given {
			d.warnf(at.of(k.key), "", "%s is ignored: daemon_mode is false", k.key)
		}
	}
}

func (f *dropIn) hook(d *decoder, c *Config, at span, flags Flags) {
	if f.renew.Signal == 0 && f.badRenew == nil {
		d.errorf(at, `write renew_signal = "SIGHUP"`, "pid_file_name needs renew_signal")
	}
	if c.OneShot && !flags.Fetch {
		d.errorf(at, "leave it out: when everything is written once, nothing is signalled", "pid_file_name cannot be used with daemon_mode = false")
	}
	d.take("hook", "pid_file_name", at)
	c.Hooks = append(c.Hooks, Hook{Spec: hook.Spec{Name: "pid_file_name", PIDFile: f.pidFile, Signal: f.renew.Signal}})
}

// output adds the one directory that the flat keys describe.
func (f *dropIn) output(d *decoder, c *Config, at places, flags Flags) {
	names := f.svid != "" || f.key != "" || f.bundle != ""
	if !names && len(f.jwts) == 0 && f.jwtBundle == "" {
		if flags.Dir == "" || len(c.Outputs) > 0 {
			f.noOutput(d, c, at)
			return
		}
		names, f.svid, f.key, f.bundle = true, defaultCert, defaultKey, defaultBundle
	}
	o := encode.Output{Spec: writer.Spec{Dir: "."}}
	if f.certDir != "" {
		o.Dir = filepath.Clean(f.certDir)
	}
	if hasControl(o.Dir) {
		d.errorf(at.of("cert_dir"), "", "cert_dir has a control character, such as the line break at the end of a heredoc")
	}
	f.climb(d, &o, at)
	d.files = nil
	if names {
		o.X509SVIDs = []encode.X509SVID{f.x509SVID(d, at)}
	}
	for _, j := range f.jwts {
		o.JWTSVIDs = append(o.JWTSVIDs, encode.JWTSVID{
			Audience: append([]string{j.audience}, j.extra...),
			Hint:     f.hint,
			File:     f.file(d, j.at, "jwt_svid_file_name", j.file, f.jwtSVIDMode, true),
		})
	}
	if f.jwtBundle != "" {
		if f.jwtBundleMode == 0 {
			f.jwtBundleMode = 0o600 // spiffe-helper's default, though a bundle is no secret
		}
		o.JWTBundles = []encode.JWTBundle{{File: f.file(d, at, "jwt_bundle_file_name", f.jwtBundle, f.jwtBundleMode, false)}}
	}
	d.checkFiles(&o, d.files)
	d.take("output", o.Dir, at.of(slices.Concat([]string{"cert_dir"}, flatFileKeys)...))
	c.Outputs = append(c.Outputs, o)
}

// noOutput refuses flat keys that are about an output when there is none.
func (f *dropIn) noOutput(d *decoder, c *Config, at places) {
	if len(c.Outputs) == 0 {
		return // there is nothing to write at all, which is said once
	}
	for _, key := range flatOutputKeys {
		if at.has(key) {
			d.errorf(at.of(key), "write it within the output, or write "+enumerate(flatFileKeys, "or"), "%s has no effect on the output blocks", key)
		}
	}
}

func (f *dropIn) x509SVID(d *decoder, at places) encode.X509SVID {
	for i, name := range []string{f.svid, f.key, f.bundle} {
		if name == "" {
			d.errorf(at.of(flatFileKeys[:3]...), "give all three names or none", "%s is missing", flatFileKeys[i])
		}
	}
	x := encode.X509SVID{
		Select:                encode.Selector{Hint: f.hint},
		Cert:                  f.file(d, at, "svid_file_name", f.svid, f.certMode, false),
		Key:                   f.file(d, at, "svid_key_file_name", f.key, f.keyMode, true),
		Bundle:                f.file(d, at, "svid_bundle_file_name", f.bundle, f.certMode, false),
		IntermediatesInBundle: f.intermediatesInBundle,
		OmitExpired:           f.omitExpired,
	}
	if f.federated {
		x.Federated = encode.FederatedMerge
	}
	return x
}

// file returns the file of that name. Every name is joined to cert_dir, one that
// begins with a slash too.
func (f *dropIn) file(d *decoder, at places, key, name string, mode fs.FileMode, secret bool) encode.FileSpec {
	if name == "" {
		return encode.FileSpec{}
	}
	spec := encode.FileSpec{Name: path.Join(f.below, relative(d, name)), Mode: mode}
	if hint, err := checkName(spec.Name, d.goos); err != nil {
		d.errorf(at.of(key), hint, "%s: %v", key, err)
	}
	d.files = append(d.files, namedFile{spec, key, at.of(key), secret})
	return spec
}

// relative returns the path from cert_dir to the file of that name.
func relative(d *decoder, name string) string {
	if d.goos == "windows" {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	return path.Clean(strings.TrimLeft(name, "/"))
}

// climb has the output be a directory above cert_dir, if a name leads there:
// all of the files have to be below it.
func (f *dropIn) climb(d *decoder, o *encode.Output, at places) {
	names := []string{f.svid, f.key, f.bundle, f.jwtBundle}
	for _, j := range f.jwts {
		names = append(names, j.file)
	}
	dir := o.Dir
	for slices.ContainsFunc(names, func(name string) bool {
		return strings.HasPrefix(path.Join(f.below, relative(d, name)), "../")
	}) {
		last := filepath.Base(o.Dir)
		if last == "." || last == ".." || last == string(filepath.Separator) {
			return // nobody knows what it is called from above
		}
		o.Dir, f.below = filepath.Dir(o.Dir), path.Join(last, f.below)
	}
	if f.below != "" {
		d.warnf(at.of("cert_dir"), "", "a file name leads out of %s: all of the files are published together in %s", quote(dir), quote(o.Dir))
	}
}

func (h *dropInHealth) translate(d *decoder) *health.Config {
	switch {
	case h.port == 0:
		h.port = defaultHealthPort
	case h.port < 0 || h.port > 65535:
		d.errorf(h.at.of("bind_port"), "", "bind_port: want a number from 0 to 65535")
	}
	c := &health.Config{Address: fmt.Sprintf(":%d", h.port), LivePath: h.live, ReadyPath: h.ready}
	setHealthDefaults(c)
	for _, p := range []struct{ key, path string }{{"liveness_path", c.LivePath}, {"readiness_path", c.ReadyPath}} {
		if hint, err := checkPath(p.path); err != nil {
			d.errorf(h.at.of(p.key), hint, "%s: %v", p.key, err)
		}
	}
	if c.LivePath == c.ReadyPath {
		d.errorf(h.at.of("readiness_path", "liveness_path"), "give each its own", "liveness_path and readiness_path are both %q", c.LivePath)
	}
	return c
}
