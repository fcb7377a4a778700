package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
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
	for _, both := range []struct {
		native, flat string
		given        bool
	}{
		{"process", "cmd", f.cmd != ""},
		{"process", "cmd_args", f.cmd == "" && len(f.args) > 0},
		{"process", "renew_signal", f.cmd == "" && len(f.args) == 0 && f.renew.Signal != 0 && f.pidFile == ""},
		{"health", "health_checks", true},
		{"log", "log_level", true},
	} {
		if both.given && at.has(both.native) && at.has(both.flat) {
			d.errorf(at.of(both.flat), "keep one of them", "%s and %s (line %d) say the same thing twice", both.flat, both.native, d.line(at.of(both.native)))
		}
	}
}

// warnOneShot says what has no effect on a run that writes everything once.
func (f *dropIn) warnOneShot(d *decoder, c *Config, at places) {
	for key, given := range map[string]bool{"cmd": f.cmd != "", "renew_signal": f.renew.Signal != 0, "process": c.Process != nil, "hook": len(c.Hooks) > 0} {
		if given {
			d.warnf(at.of(key), "", "%s is ignored: daemon_mode is false", key)
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

// output adds the directories that the flat keys describe: cert_dir, and those
// of names that lead elsewhere.
func (f *dropIn) output(d *decoder, c *Config, at places, flags Flags) {
	names, byDefault := f.svid != "" || f.key != "" || f.bundle != "", false
	if !names && len(f.jwts) == 0 && f.jwtBundle == "" {
		if flags.Dir == "" || len(c.Outputs) > 0 {
			f.noOutput(d, c, at)
			return
		}
		names, byDefault, f.svid, f.key, f.bundle = true, true, defaultCert, defaultKey, defaultBundle
	}
	s := &spread{flat: f, decoder: d, files: map[*encode.Output][]namedFile{}}
	if names {
		f.x509SVID(s, at)
	}
	for _, j := range f.jwts {
		if j.file == "" {
			continue // which is reported, or its key is misspelled
		}
		s.add(j.at, "jwt_svid_file_name", j.file, f.jwtSVIDMode, true, func(o *encode.Output, file encode.FileSpec) {
			o.JWTSVIDs = append(o.JWTSVIDs, encode.JWTSVID{Audience: append([]string{j.audience}, j.extra...), Hint: f.hint, File: file})
		})
	}
	if f.jwtBundle != "" {
		mode := cmp.Or(f.jwtBundleMode, 0o600) // spiffe-helper's default, though a bundle is no secret
		s.add(at, "jwt_bundle_file_name", f.jwtBundle, mode, false, func(o *encode.Output, file encode.FileSpec) {
			o.JWTBundles = []encode.JWTBundle{{File: file}}
		})
	}
	for _, o := range s.outputs {
		if hasControl(o.Dir) {
			d.errorf(at.of("cert_dir"), "", "cert_dir has a control character, such as the line break at the end of a heredoc")
		}
		d.checkFiles(o, s.files[o])
		if !byDefault { // the names that -dir stands for are ours
			o.Set = setOf(s.files[o])
		}
		d.takeOutput(o, at.of(append([]string{"cert_dir"}, flatFileKeys...)...))
		c.Outputs = append(c.Outputs, *o)
	}
}

// setOf returns the set of a spiffe-helper file's output: two files may have one
// cert_dir, with different names, and neither touches the other's.
func setOf(files []namedFile) string {
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return hex.EncodeToString(sum[:4])
}

// A spread has the files of the flat keys in the directories that they are in.
type spread struct {
	*decoder
	flat    *dropIn
	outputs []*encode.Output
	files   map[*encode.Output][]namedFile
}

// add puts a file into the output that it is in. Names are joined to cert_dir,
// absolute ones too. Without cert_dir a name is as it stands.
func (s *spread) add(at places, key, name string, mode fs.FileMode, secret bool, put func(*encode.Output, encode.FileSpec)) {
	dir, name := s.place(name)
	spec := encode.FileSpec{Name: name, Mode: mode}
	spec.Literal = spec.Varies() // spiffe-helper knows no placeholders
	if hint, err := checkName(spec.Name, s.goos); err != nil {
		s.errorf(at.of(key), hint, "%s: %v", key, err)
	}
	i := slices.IndexFunc(s.outputs, func(o *encode.Output) bool { return o.Dir == dir })
	if i < 0 {
		i = len(s.outputs)
		s.outputs = append(s.outputs, &encode.Output{Spec: writer.Spec{Dir: dir, Publish: s.flat.publish}})
	}
	o := s.outputs[i]
	s.files[o] = append(s.files[o], namedFile{spec, key, at.of(key), secret})
	put(o, spec)
}

// place returns the directory of a file and its name there: below cert_dir, or
// else in its own directory.
func (s *spread) place(name string) (dir, base string) {
	dir = filepath.ToSlash(filepath.Clean(s.flat.certDir))
	if s.goos == "windows" {
		name = strings.ReplaceAll(name, `\`, "/")
	}
	full := path.Join(filepath.ToSlash(s.flat.certDir), name)
	below, ok := strings.CutPrefix(full, strings.TrimSuffix(dir, "/")+"/")
	switch {
	case full == dir:
		below = "." // which is no name
	case dir == "." && filepath.IsLocal(full):
		below = full
	case !ok:
		dir, below = path.Split(full)
	}
	return filepath.Clean(dir), below
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

// x509SVID adds the X.509-SVID, in as many parts as its files have directories.
func (f *dropIn) x509SVID(s *spread, at places) {
	add := func(key, name string, mode fs.FileMode, secret bool, put func(*encode.X509SVID, encode.FileSpec)) {
		if name == "" {
			s.errorf(at.of(flatFileKeys[:3]...), "give all three names or none", "%s is missing", key)
			return
		}
		s.add(at, key, name, mode, secret, func(o *encode.Output, file encode.FileSpec) {
			if len(o.X509SVIDs) == 0 {
				o.X509SVIDs = []encode.X509SVID{{Select: encode.Selector{Hint: f.hint}}}
			}
			put(&o.X509SVIDs[0], file)
		})
	}
	add("svid_file_name", f.svid, f.certMode, false, func(x *encode.X509SVID, file encode.FileSpec) {
		x.Cert, x.IntermediatesInBundle = file, f.intermediatesInBundle
	})
	add("svid_key_file_name", f.key, f.keyMode, true, func(x *encode.X509SVID, file encode.FileSpec) { x.Key = file })
	add("svid_bundle_file_name", f.bundle, f.certMode, false, func(x *encode.X509SVID, file encode.FileSpec) {
		x.Bundle, x.IntermediatesInBundle, x.OmitExpired = file, f.intermediatesInBundle, f.omitExpired
		if f.federated {
			x.Federated = encode.FederatedMerge
		}
	})
}

func (h *dropInHealth) translate(d *decoder) *Health {
	switch {
	case h.port == 0:
		h.port = defaultHealthPort
	case h.port < 0 || h.port > 65535:
		d.errorf(h.at.of("bind_port"), "", "bind_port: want a number from 0 to 65535")
	}
	c := &Health{Address: fmt.Sprintf(":%d", h.port), LivePath: h.live, ReadyPath: h.ready, LiveNeedsWrites: true}
	c.finish(d, h.at, "liveness_path", "readiness_path")
	for key, path := range map[string]string{"liveness_path": c.LivePath, "readiness_path": c.ReadyPath} {
		if hint, err := checkPath(path); err != nil {
			d.errorf(h.at.of(key), hint, "%s: %v", key, err)
		}
	}
	return c
}
