package console

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
	"unicode"
)

func TestLine(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := slog.New(New(&out, level)).With("output", "/run/certs")
	for _, c := range []struct {
		say  func()
		want string
	}{
		{func() { log.Info("published", "spiffe_id", "spiffe://example.org/web", "files", []string{"a", "b"}) },
			`published  output=/run/certs spiffe_id=spiffe://example.org/web files="[a b]"`},
		{func() { log.Warn("not connected", "error", errors.New("no \x1b[31m socket")) },
			`WARN not connected  output=/run/certs error="no \x1b[31m socket"`},
		{func() { log.Error("a\x1bb\nc") }, `ERROR "a\x1bb\nc"  output=/run/certs`},
		{func() { log.WithGroup("g").Info("in", "a", 1) }, `in  output=/run/certs g.a=1`},
		{func() { log.Info("expires", "at", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)) }, `expires  output=/run/certs at=2026-01-02T03:04:05Z`},
		{func() { log.Debug("not said") }, ""},
		{func() { level.Set(slog.LevelDebug); log.Debug("said") }, `DEBUG said  output=/run/certs`},
	} {
		out.Reset()
		c.say()
		_, said, _ := strings.Cut(out.String(), " ") // the time
		if said != strings.TrimLeft(c.want+"\n", "\n") {
			t.Errorf("the line is %q, want %q", said, c.want)
		}
		if strings.ContainsFunc(strings.TrimSuffix(out.String(), "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the line has what does not print: %q", out.String())
		}
	}
}

// TestIsAHandler: what slog asks of a handler, as far as a line for people has it.
func TestIsAHandler(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		out.Reset()
		return New(&out, slog.LevelInfo)
	}, func(t *testing.T) map[string]any { return parse(t, out.String()) })
}

// parse reads a line back.
func parse(t *testing.T, line string) map[string]any {
	t.Helper()
	all := map[string]any{slog.LevelKey: "INFO"}
	rest := strings.TrimSuffix(line, "\n")
	if at, after, _ := strings.Cut(rest, " "); strings.Count(at, ":") == 2 {
		all[slog.TimeKey], rest = at, after
	}
	message, details, _ := strings.Cut(rest, "  ")
	all[slog.MessageKey] = message
	for _, pair := range strings.Fields(details) {
		key, value, _ := strings.Cut(pair, "=")
		in := all
		for {
			group, rest, nested := strings.Cut(key, ".")
			if !nested {
				break
			}
			if in[group] == nil {
				in[group] = map[string]any{}
			}
			in, key = in[group].(map[string]any), rest
		}
		in[key] = value
	}
	return all
}
