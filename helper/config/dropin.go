package config

import (
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/writer"
)

// dropIn holds the flat keys of spiffe-helper, as the file has them.
// agent_address and daemon_mode, which both dialects have, are not among them.
// Empty strings and zeros mean what a missing key means.
type dropIn struct {
	cmd, pidFile          string
	args                  []string
	badArgs               *misfit
	renew                 supervisor.Rotation // none if empty
	badRenew              *misfit
	certDir, hint         string
	publish               writer.Mode
	logLevel              *slog.Level // Config.Log's
	svid, key, bundle     string
	jwtBundle             string
	certMode, keyMode     fs.FileMode
	jwtBundleMode         fs.FileMode
	jwtSVIDMode           fs.FileMode
	federated             bool
	omitExpired           bool
	intermediatesInBundle bool
	jwts                  []dropInJWT
	health                *dropInHealth
}

// A misfit is a value that nothing can be done with. spiffe-helper finds out
// when it needs the value, so it is an error only where there is a need.
type misfit struct {
	at            span
	hint, message string
}

func (m *misfit) report(d *decoder, needed bool) {
	switch {
	case m == nil:
	case needed:
		d.errorf(m.at, m.hint, "%s", m.message)
	default:
		d.warnf(m.at, m.hint, "%s (nothing uses it)", m.message)
	}
}

type dropInJWT struct {
	audience, file string
	extra          []string
	at             places
}

type dropInHealth struct {
	enabled     bool
	port        int
	live, ready string
	at          places
}

// What the flat keys need to describe an output, and what they say about it.
var (
	flatFileKeys   = []string{"svid_file_name", "svid_key_file_name", "svid_bundle_file_name", "jwt_svids", "jwt_bundle_file_name"}
	flatOutputKeys = append([]string{"cert_dir", "publish", "hint", "cert_file_mode", "key_file_mode", "jwt_bundle_file_mode", "jwt_svid_file_mode",
		"include_federated_domains", "omit_expired", "add_intermediates_to_bundle"}, flatFileKeys...)
)

func (f *dropIn) fields() []field {
	fields := []field{
		{key: "cmd", value: anyText(&f.cmd)},
		{key: "cmd_args", value: f.cmdArgs()},
		{key: "pid_file_name", value: anyText(&f.pidFile)},
		{key: "renew_signal", value: f.renewSignal()},
		{key: "cert_dir", value: anyText(&f.certDir)},
		{key: "publish", value: publishMode(&f.publish)},
		{key: "log_level", value: logLevel(f.logLevel)},
		{key: "hint", value: anyText(&f.hint)},
		{key: "svid_file_name", value: anyText(&f.svid)},
		{key: "svid_key_file_name", value: anyText(&f.key)},
		{key: "svid_bundle_file_name", value: anyText(&f.bundle)},
		{key: "jwt_bundle_file_name", value: anyText(&f.jwtBundle)},
		{key: "cert_file_mode", value: mode(&f.certMode)},
		{key: "key_file_mode", value: mode(&f.keyMode)},
		{key: "jwt_bundle_file_mode", value: mode(&f.jwtBundleMode)},
		{key: "jwt_svid_file_mode", value: mode(&f.jwtSVIDMode)},
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
		{key: "jwt_extra_audiences", value: audiences(&j.extra), flat: true},
		{key: "jwt_svid_file_name", value: anyText(&j.file), flat: true},
	}, check: func(d *decoder, at places) {
		j.at = at
		for _, needed := range []struct{ key, text string }{{"jwt_audience", j.audience}, {"jwt_svid_file_name", j.file}} {
			if needed.text == "" && !at.odd {
				d.errorf(at.of(needed.key), "", "an entry of jwt_svids needs %s", needed.key)
			}
		}
	}}
}

// audiences are strings, of which the empty ones are no audience.
func audiences(dst *[]string) scalar {
	list := listOf(dst, func(d *decoder, n *node) (string, bool) {
		s, ok := d.str(n)
		if ok && s == "" {
			d.warnf(n.span, "", "%s: an empty element is left out", d.key)
		}
		return s, s != ""
	}, quote)
	take := list.take
	list.take = func(d *decoder, n *node) {
		if *dst = nil; n.kind != nodeList || len(n.elems) > 0 {
			take(d, n)
		}
	}
	return list
}

func healthChecksTable(h *dropInHealth) *block {
	return &block{name: "health_checks", fields: []field{
		{key: "listener_enabled", value: boolean(&h.enabled, true), flat: true},
		{key: "bind_port", value: integer(&h.port, math.MinInt32, math.MaxInt32), flat: true},
		{key: "liveness_path", value: anyText(&h.live), flat: true},
		{key: "readiness_path", value: anyText(&h.ready), flat: true},
	}, check: func(d *decoder, at places) { h.at = at }}
}

func (f *dropIn) cmdArgs() value {
	return scalar{take: func(d *decoder, n *node) {
		if n.kind == nodeList {
			d.complain(n, `write them in one string: cmd_args = "-c \"two words\""`, "want a string, not a list")
			return
		}
		s, ok := d.str(n)
		if !ok {
			return
		}
		f.args, f.badArgs = nil, nil // the last one wins
		args, ignored, err := splitArgs(s)
		if err != nil {
			f.badArgs = &misfit{n.span, `double quotes surround a whole argument: cmd_args = "-c \"two words\""`, "cmd_args: " + err.Error()}
			return
		}
		if strings.TrimSpace(ignored) != "" {
			d.warnf(n.span, "write all arguments on one line", "cmd_args: only the first line counts")
		}
		opens := func(arg string) bool { return strings.HasPrefix(arg, "'") && !strings.HasSuffix(arg[1:], "'") }
		if slices.ContainsFunc(args, opens) {
			d.warnf(n.span, `write double quotes: cmd_args = "-c \"two words\""`, "cmd_args: single quotes mean nothing, so these are %d arguments: %s", len(args), quoteAll(args))
		}
		f.args = args
	}}
}

// quoteAll returns texts for a message, each in quotes.
func quoteAll(texts []string) string {
	var all []string
	for _, text := range texts {
		all = append(all, quote(text))
	}
	return strings.Join(all, " ")
}

// renewSignal is a signal, or empty for none.
func (f *dropIn) renewSignal() value {
	return scalar{take: func(d *decoder, n *node) {
		name, ok := d.str(n)
		f.renew, f.badRenew = supervisor.Rotation{}, nil // the last one wins
		if !ok || name == "" {
			return
		}
		if d.goos == "windows" {
			d.complain(n, "Windows has no signals; leave it out", "does not work on this operating system")
			return
		}
		var err error
		if f.renew.Signal, err = supervisor.ParseSignal(name); err != nil {
			f.badRenew = &misfit{n.span, signalHint(name), "renew_signal: " + err.Error()}
		}
	}}
}

// logLevel is a level by the names that spiffe-helper's logger has, in any case.
func logLevel(dst *slog.Level) value {
	levels := []word[slog.Level]{{"trace", slog.LevelDebug}, {"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn},
		{"warning", slog.LevelWarn}, {"error", slog.LevelError}, {"fatal", slog.LevelError}, {"panic", slog.LevelError}}
	return scalar{take: func(d *decoder, n *node) {
		lower := *n
		lower.text = strings.ToLower(n.text)
		if level, ok := oneOf(d, &lower, levels); ok {
			*dst = level
		}
	}}
}

// Errors of splitArgs.
var (
	errNoArgs       = errors.New("holds no arguments")
	errStrayQuote   = errors.New("stray double quote: quotes surround a whole argument, and one inside is doubled")
	errUnterminated = errors.New("unterminated double quote")
)

// splitArgs splits cmd_args into arguments as spiffe-helper does: one record of
// comma-separated values (RFC 4180) with a space for the comma. Double quotes
// surround a whole argument, and one within is doubled. No other character
// means anything; two spaces in a row hold an empty argument between them. The
// record is the first line that is not empty; what follows it is ignored, and
// returned.
func splitArgs(s string) (args []string, ignored string, err error) {
	if s == "" {
		return nil, "", nil
	}
	r := csv.NewReader(strings.NewReader(s))
	r.Comma = ' '
	args, err = r.Read()
	switch {
	case err == io.EOF:
		return nil, "", errNoArgs
	case err != nil && strings.Count(s, `"`)%2 == 1:
		return nil, "", errUnterminated
	case err != nil:
		return nil, "", errStrayQuote
	}
	return args, s[r.InputOffset():], nil
}
