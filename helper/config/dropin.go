package config

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/writer"
)

// dropIn holds the flat keys of spiffe-helper, as the file has them. agent_address
// and daemon_mode, which both dialects have, are not among them.
type dropIn struct {
	cmd, cmdArgs, pidFile, renewSignal            string
	certDir, hint                                 string
	svid, key, bundle, jwtBundle                  string
	certMode, keyMode, jwtBundleMode, jwtSVIDMode fs.FileMode
	federated, omitExpired, intermediatesInBundle bool
	jwts                                          []dropInJWT
	health                                        *dropInHealth

	args   []string // cmdArgs, split
	signal supervisor.Rotation
	at     places
}

type dropInJWT struct {
	audience string
	extra    []string
	file     string
	at       places
}

type dropInHealth struct {
	enabled     bool
	port        int
	live, ready string
	at          places
}

func (f *dropIn) fields() []field {
	fields := []field{
		{key: "cmd", value: anyText(&f.cmd)},
		{key: "cmd_args", value: cmdArgs(&f.cmdArgs, &f.args)},
		{key: "pid_file_name", value: anyText(&f.pidFile)},
		{key: "renew_signal", value: renewSignal(&f.renewSignal, &f.signal)},
		{key: "cert_dir", value: anyText(&f.certDir)},
		{key: "hint", value: anyText(&f.hint)},
		{key: "svid_file_name", value: anyText(&f.svid)},
		{key: "svid_key_file_name", value: anyText(&f.key)},
		{key: "svid_bundle_file_name", value: anyText(&f.bundle)},
		{key: "jwt_bundle_file_name", value: anyText(&f.jwtBundle)},
		{key: "cert_file_mode", value: mode(&f.certMode, true)},
		{key: "key_file_mode", value: mode(&f.keyMode, true)},
		{key: "jwt_bundle_file_mode", value: mode(&f.jwtBundleMode, true)},
		{key: "jwt_svid_file_mode", value: mode(&f.jwtSVIDMode, true)},
		{key: "include_federated_domains", value: boolean(&f.federated, true)},
		{key: "omit_expired", value: boolean(&f.omitExpired, true)},
		{key: "add_intermediates_to_bundle", value: boolean(&f.intermediatesInBundle, true)},
		{key: "jwt_svids", value: many[dropInJWT]{&f.jwts, jwtEntryTable}},
		{key: "health_checks", value: one[dropInHealth]{&f.health, healthChecksTable}},
	}
	for i := range fields {
		fields[i].flat = true
	}
	return fields
}

func jwtEntryTable(j *dropInJWT) *block {
	return &block{name: "jwt_svids", fields: []field{
		{key: "jwt_audience", value: anyText(&j.audience), flat: true},
		{key: "jwt_extra_audiences", value: texts(&j.extra), flat: true},
		{key: "jwt_svid_file_name", value: anyText(&j.file), flat: true},
	}, check: func(d *decoder, at places) {
		j.at = at
		if j.audience == "" {
			d.errorf(at.of("jwt_audience"), "", "an entry of jwt_svids needs jwt_audience")
		}
		if j.file == "" {
			d.errorf(at.of("jwt_svid_file_name"), "", "an entry of jwt_svids needs jwt_svid_file_name")
		}
	}}
}

func healthChecksTable(h *dropInHealth) *block {
	return &block{name: "health_checks", fields: []field{
		{key: "listener_enabled", value: boolean(&h.enabled, true), flat: true},
		{key: "bind_port", value: integer(&h.port, 0, 65535), flat: true},
		{key: "liveness_path", value: anyText(&h.live), flat: true},
		{key: "readiness_path", value: anyText(&h.ready), flat: true},
	}, check: func(d *decoder, at places) { h.at = at }}
}

func cmdArgs(dst *string, args *[]string) value {
	return scalar{take: func(d *decoder, n *node) {
		s, ok := d.str(n)
		if !ok {
			return
		}
		split, err := SplitArgs(s)
		if err != nil {
			d.complain(n, `write cmd_args = "-c \"one argument\" two"`, "%v", err)
			return
		}
		if strings.Contains(strings.TrimSpace(s), "\n") && !strings.Contains(strings.Join(split, ""), "\n") {
			d.warnf(n.span, "write all arguments on one line", "cmd_args: only its first line counts")
		}
		*dst, *args = s, split
	}, literal: func() string { return literalText(*dst) }}
}

// renewSignal is a signal, or empty for none.
func renewSignal(dst *string, rot *supervisor.Rotation) value {
	return scalar{take: func(d *decoder, n *node) {
		if n.kind == nodeString && n.text == "" {
			*dst, *rot = "", supervisor.Rotation{Action: supervisor.RotationNone}
		} else if sig, ok := d.signal(n); ok {
			*dst, *rot = n.text, supervisor.Rotation{Signal: sig}
		}
	}, literal: func() string { return literalText(*dst) }}
}

// translate adds what the flat keys say to c.
func (f *dropIn) translate(d *decoder, c *Config, at places, flags Flags) {
	f.at = at
	f.conflicts(d, c)
	f.output(d, c, flags)
	if f.renewSignal == "" {
		f.signal = supervisor.Rotation{Action: supervisor.RotationNone}
	}
	if f.cmd != "" && c.Process == nil {
		c.Process = &Process{Spec: supervisor.Spec{
			Command:    append([]string{f.cmd}, f.args...),
			OnRotation: f.signal,
			Restart:    supervisor.RestartOnRotation,
		}}
	}
	if f.pidFile != "" {
		if f.renewSignal == "" {
			d.errorf(at.of("pid_file_name"), `write renew_signal = "SIGHUP"`, "pid_file_name needs renew_signal")
		}
		if c.OneShot && !flags.Fetch {
			d.errorf(at.of("pid_file_name"), "leave it out: nothing is signalled when everything is written once", "pid_file_name cannot be used with daemon_mode = false")
		}
		d.take("hook", "pid_file_name", at.of("pid_file_name"))
		c.Hooks = append(c.Hooks, Hook{HookSpec: supervisor.HookSpec{Name: "pid_file_name", PIDFile: f.pidFile, Signal: f.signal.Signal}})
	}
	f.healthChecks(d, c)
}

// conflicts refuses what is said in both dialects.
func (f *dropIn) conflicts(d *decoder, c *Config) {
	both := func(native, flat string) {
		if f.at.has(native) && f.at.has(flat) {
			d.errorf(f.at.of(flat), "keep one of them", "%s and %s (line %d) say the same thing twice", flat, native, d.line(f.at.of(native)))
		}
	}
	both("process", "cmd")
	if f.cmd == "" {
		both("process", "cmd_args")
		if f.pidFile == "" {
			both("process", "renew_signal")
		}
	}
	both("health", "health_checks")
}

// output is the one directory that the flat keys describe.
func (f *dropIn) output(d *decoder, c *Config, flags Flags) {
	o := writer.Output{Dir: "."}
	if f.certDir != "" {
		o.Dir = filepath.Clean(f.certDir)
	}
	d.files = nil
	if f.svid != "" || f.key != "" || f.bundle != "" {
		o.X509SVIDs = append(o.X509SVIDs, f.x509(d))
	}
	for i := range f.jwts {
		j := &f.jwts[i]
		o.JWTSVIDs = append(o.JWTSVIDs, writer.JWTSVID{
			Audience: append([]string{j.audience}, j.extra...),
			Hint:     f.hint,
			File:     f.file(d, j.at, "jwt_svid_file_name", j.file, f.jwtSVIDMode),
		})
	}
	if f.jwtBundle != "" {
		mode := f.jwtBundleMode
		if mode == 0 {
			mode = 0o600 // a bundle is public, but this is what spiffe-helper does
		}
		o.JWTBundles = append(o.JWTBundles, writer.JWTBundle{File: f.file(d, f.at, "jwt_bundle_file_name", f.jwtBundle, mode)})
	}
	if len(o.X509SVIDs)+len(o.JWTSVIDs)+len(o.JWTBundles) > 0 {
		for i := range o.X509SVIDs {
			x := &o.X509SVIDs[i]
			f.named(d, f.at, "svid_file_name", &x.Cert, false)
			f.named(d, f.at, "svid_key_file_name", &x.Key, true)
			f.named(d, f.at, "svid_bundle_file_name", &x.Bundle, false)
		}
		for i := range o.JWTSVIDs {
			f.named(d, f.jwts[i].at, "jwt_svid_file_name", &o.JWTSVIDs[i].File, true)
		}
		for i := range o.JWTBundles {
			f.named(d, f.at, "jwt_bundle_file_name", &o.JWTBundles[i].File, false)
		}
		d.checkFiles(&o, d.files)
		d.files = nil
		d.take("output", o.Dir, f.at.of("cert_dir", "svid_file_name", "jwt_svids", "jwt_bundle_file_name"))
		c.Outputs = append(c.Outputs, o)
	} else if f.at.has("cert_dir") && flags.Dir == "" {
		d.errorf(f.at.of("cert_dir"), "write svid_file_name, svid_key_file_name and svid_bundle_file_name, or jwt_svids, or jwt_bundle_file_name",
			"cert_dir is given, but no file in it is named")
	}
}

func (f *dropIn) named(d *decoder, at places, key string, spec *writer.FileSpec, secret bool) {
	if spec.Wanted() {
		d.files = append(d.files, namedFile{key, at.of(key), secret, spec})
	}
}

func (f *dropIn) x509(d *decoder) writer.X509SVID {
	for _, k := range []struct{ key, name string }{{"svid_file_name", f.svid}, {"svid_key_file_name", f.key}, {"svid_bundle_file_name", f.bundle}} {
		if k.name == "" {
			d.errorf(f.at.of(k.key, "svid_file_name", "svid_key_file_name", "svid_bundle_file_name"), "give all three, or none",
				"%s is missing beside the other names of the X.509-SVID", k.key)
		}
	}
	x := writer.X509SVID{
		Select:                writer.Selector{Hint: f.hint},
		Cert:                  f.file(d, f.at, "svid_file_name", f.svid, f.certMode),
		Key:                   f.file(d, f.at, "svid_key_file_name", f.key, f.keyMode),
		Bundle:                f.file(d, f.at, "svid_bundle_file_name", f.bundle, f.certMode),
		IntermediatesInBundle: f.intermediatesInBundle,
		OmitExpired:           f.omitExpired,
	}
	if f.federated {
		x.Federated = writer.FederatedMerge
	}
	return x
}

// file returns the file of that name. Every name is joined to cert_dir, one
// that begins with a slash too.
func (f *dropIn) file(d *decoder, at places, key, name string, mode fs.FileMode) writer.FileSpec {
	if name == "" {
		return writer.FileSpec{}
	}
	if d.goos == "windows" {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	clean := strings.TrimLeft(path.Clean(strings.TrimLeft(name, "/")), "/")
	if hint, err := checkName(clean); err != nil {
		d.errorf(at.of(key), hint, "%s: %v", key, err)
	}
	return writer.FileSpec{Name: clean, Mode: mode}
}

func (f *dropIn) healthChecks(d *decoder, c *Config) {
	h := f.health
	if h == nil || !h.enabled || c.Health != nil {
		return
	}
	if h.port == 0 {
		h.port = defaultHealthPort
	}
	c.Health = &health.Config{Address: fmt.Sprintf(":%d", h.port), LivePath: h.live, ReadyPath: h.ready}
	setHealthDefaults(c.Health, h.port)
	for _, p := range []struct{ key, path string }{{"liveness_path", c.Health.LivePath}, {"readiness_path", c.Health.ReadyPath}} {
		if hint, err := checkPath(p.path); err != nil {
			d.errorf(h.at.of(p.key), hint, "%s: %v", p.key, err)
		}
	}
	if c.Health.LivePath == c.Health.ReadyPath {
		d.errorf(h.at.of("readiness_path", "liveness_path"), "give each its own", "liveness_path and readiness_path are both %q", c.Health.LivePath)
	}
}
