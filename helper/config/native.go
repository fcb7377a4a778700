package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/source"
)

// rootTable is the outermost block: the keys of the native dialect, and those
// of the drop-in dialect.
func rootTable(c *Config, flat *dropIn) *block {
	return &block{fields: append(nativeFields(c), flat.fields()...)}
}

func nativeFields(c *Config) []field {
	log := &c.Log
	if c.Log == (Log{}) {
		log = nil // which is not printed
	}
	return []field{
		{key: "agent_address", doc: "the Workload API, instead of SPIFFE_ENDPOINT_SOCKET", value: agentAddress(&c.AgentAddress), flat: true},
		{key: "daemon_mode", doc: "false: write everything once, then exit", value: boolean(&c.OneShot, false), flat: true},
		{key: "timeout", doc: "bounds fetch", value: duration(&c.Timeout)},
		{key: "on_revoked", doc: "when the identity is refused: keep the files, remove them, or stop the process too", value: constant(&c.OnRevoked, "keep", source.OnRevokedRemove, source.OnRevokedStop)},
		{key: "revocation_grace", doc: "how long a refusal must last before it counts", value: duration(&c.RevocationGrace)},
		{key: "events", doc: "a file to which each event is appended, as a line of JSON", value: text(&c.Events)},
		{key: "output", doc: "a directory: what is in it changes together", value: many[encode.Output]{&c.Outputs, outputTable}},
		{key: "process", doc: "the process to run on top of the files", value: one[Process]{&c.Process, processTable}},
		{key: "hook", doc: "another program to tell of new material", value: many[Hook]{&c.Hooks, hookTable}},
		{key: "health", doc: "where health and metrics are served", value: one[Health]{&c.Health, healthTable}},
		{key: "log", doc: "on standard error", value: one[Log]{&log, func(*Log) *block { return logTable(&c.Log) }}},
	}
}

// agentAddress is the address of the Workload API; an empty one is as if it were
// not there.
func agentAddress(dst *string) scalar {
	return parsed(dst, func(d *decoder, s string) (string, string, error) {
		if s == "" || !d.counts {
			return "", "", nil
		}
		address, err := source.ParseAddress(s, d.goos)
		return address.String(), "", err
	}, itself)
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
	}, check: func(d *decoder, at places) { h.finish(d, at, "live_path", "ready_path") }}
}

// finish fills in the defaults, and refuses paths that are the same.
func (h *Health) finish(d *decoder, at places, live, ready string) {
	h.Address = cmp.Or(h.Address, fmt.Sprintf(":%d", defaultHealthPort))
	h.LivePath = cmp.Or(h.LivePath, DefaultLivePath)
	h.ReadyPath = cmp.Or(h.ReadyPath, DefaultReadyPath)
	if h.LivePath == h.ReadyPath {
		d.errorf(at.of(ready, live), "give each its own", "%s and %s are both %q", live, ready, h.LivePath)
	}
}

// checkListen accepts host:port.
func checkListen(s string) (hint string, err error) {
	hint = `write ":8081" or "127.0.0.1:8081"`
	if s != "" && strings.Trim(s, "0123456789") == "" {
		hint = "write " + quote(":"+s)
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return hint, fmt.Errorf("%q is not host:port", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return hint, fmt.Errorf("%q is not a port", port)
	}
	return "", nil
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
