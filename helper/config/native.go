package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/source"
)

// rootTable is the outermost block: the keys of the native dialect, and those
// of the drop-in dialect.
func rootTable(c *Config, flat *dropIn) *block {
	return &block{fields: append(nativeFields(c), flat.fields()...)}
}

func nativeFields(c *Config) []field {
	return []field{
		{key: "agent_address", doc: "the Workload API, instead of SPIFFE_ENDPOINT_SOCKET", value: agentAddress(&c.AgentAddress), flat: true},
		{key: "daemon_mode", doc: "false: write everything once, then exit", value: boolean(&c.OneShot, false), flat: true},
		{key: "timeout", doc: "bounds fetch", value: duration(&c.Timeout)},
		{key: "on_revoked", doc: "when the identity is refused: keep the files, remove them, or stop the process too", value: choice(&c.OnRevoked,
			word[source.OnRevoked]{"keep", source.OnRevokedKeep}, word[source.OnRevoked]{"remove", source.OnRevokedRemove}, word[source.OnRevoked]{"stop", source.OnRevokedStop})},
		{key: "revocation_grace", doc: "how long a refusal must last before it counts", value: duration(&c.RevocationGrace)},
		{key: "events", doc: "a file to which each event is appended, as a line of JSON", value: text(&c.Events)},
		{key: "output", doc: "a directory: what is in it changes together", value: many[encode.Output]{&c.Outputs, outputTable}},
		{key: "process", doc: "the process to run on top of the files", value: one[Process]{&c.Process, processTable}},
		{key: "hook", doc: "another program to tell of new material", value: many[Hook]{&c.Hooks, hookTable}},
		{key: "health", doc: "where health and metrics are served", value: one[Health]{&c.Health, healthTable}},
		{key: "log", doc: "on standard error", value: logBlock{&c.Log}},
	}
}

// blocks are the tables of everyBlock. They are made once: a file can have many
// mistakes.
var blocks struct {
	once sync.Once
	all  []*block
}

// everyBlock returns the table of each kind of block, for suggestions.
func everyBlock() []*block {
	blocks.once.Do(func() { blocks.all = makeBlocks() })
	return blocks.all
}

func makeBlocks() []*block {
	return []*block{
		rootTable(new(Config), &dropIn{logLevel: new(slog.Level)}), outputTable(new(encode.Output)),
		x509SVIDTable(new(encode.X509SVID)), jwtSVIDTable(new(encode.JWTSVID)), witSVIDTable(new(encode.WITSVID)), keystoreTable("pkcs12")(new(encode.Keystore)),
		processTable(new(Process)), hookTable(new(Hook)), proofTable(new(proof.Config)),
		healthTable(new(Health)), logTable(new(Log)),
		jwtEntryTable(new(dropInJWT)), healthChecksTable(new(dropInHealth)),
	}
}

func agentAddress(dst *string) value {
	return scalar{
		func(d *decoder, n *node) {
			s, ok := d.str(n)
			if !ok || s == "" { // empty: as if it were not there
				return
			}
			address, err := source.ParseAddress(s, d.goos)
			if err != nil && d.counts {
				d.complain(n, "", "%v", err)
			}
			if err == nil {
				*dst = address.String()
			}
		},
		func() string { return literalText(*dst) },
	}
}

// logBlock is a block that needs no pointer: its zero value is the default.
type logBlock struct{ *Log }

func (v logBlock) read(d *decoder, it *item) {
	l := v.Log
	one[Log]{&l, logTable}.read(d, it)
}

func (logBlock) isBlock() {}

func (v logBlock) print(p *printer, f field) {
	if *v.Log != (Log{}) {
		p.block(f.doc, logTable(v.Log))
	}
}

func logTable(l *Log) *block {
	return &block{name: "log", fields: []field{
		{key: "level", doc: "debug, info, warn or error", value: choice(&l.Level,
			word[slog.Level]{"debug", slog.LevelDebug}, word[slog.Level]{"info", slog.LevelInfo}, word[slog.Level]{"warn", slog.LevelWarn}, word[slog.Level]{"error", slog.LevelError})},
		{key: "format", doc: "text or json", value: choice(&l.JSON, word[bool]{"text", false}, word[bool]{"json", true})},
	}}
}

const defaultHealthPort = 8081

func healthTable(h *Health) *block {
	return &block{name: "health", fields: []field{
		{key: "address", doc: "host:port; without a host, on all interfaces", value: checked(&h.Address, checkListen)},
		{key: "live_path", doc: "answers 200 while we work", value: checked(&h.LivePath, checkPath)},
		{key: "live_needs_writes", doc: "live turns 503 too when a file cannot be written, as spiffe-helper's does", value: boolean(&h.LiveNeedsWrites, true)},
		{key: "ready_path", doc: "answers 200 while every file is written and valid", value: checked(&h.ReadyPath, checkPath)},
	}, check: func(d *decoder, at places) {
		setHealthDefaults(h)
		if h.LivePath == h.ReadyPath {
			d.errorf(at.of("ready_path", "live_path"), "give each its own", "live_path and ready_path are both %q", h.LivePath)
		}
	}}
}

func setHealthDefaults(h *Health) {
	h.Address = cmp.Or(h.Address, fmt.Sprintf(":%d", defaultHealthPort))
	h.LivePath = cmp.Or(h.LivePath, DefaultLivePath)
	h.ReadyPath = cmp.Or(h.ReadyPath, DefaultReadyPath)
}

// checkListen accepts host:port.
func checkListen(s string) (hint string, err error) {
	hint = `write ":8081" or "127.0.0.1:8081"`
	if s != "" && strings.Trim(s, "0123456789") == "" {
		hint = "write " + quote(":"+s)
	}
	_, _, err = splitHostPort(s)
	return hint, err
}

// checkPath accepts the path of a check.
func checkPath(s string) (hint string, err error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "write " + quote("/"+s), errors.New("a path begins with a slash")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("{}?#%", r) }):
		return "", fmt.Errorf("%q is not a plain path", s)
	}
	return "", nil
}
