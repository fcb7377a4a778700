// Package console writes a log for the person in front of a terminal: the time of
// day, the level where it is not the usual one, what happened, and after that the
// details as slog's text has them. A program that reads a log gets slog's own text
// or JSON.
//
// It promises a line an event, and that no control character reaches the terminal.
package console

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// A Handler is a slog.Handler for a terminal.
type Handler struct {
	details slog.Handler // writes to shared.line
	shared  *shared
}

// shared is what the handlers of one terminal have in common.
type shared struct {
	mu   sync.Mutex
	to   io.Writer
	line bytes.Buffer
}

// New returns a handler that writes events of a level and above.
func New(to io.Writer, level slog.Leveler) *Handler {
	s := &shared{to: to}
	return &Handler{shared: s, details: slog.NewTextHandler(&s.line, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutHead})}
}

// withoutHead leaves out what stands at the head of the line.
func withoutHead(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	if a.Value.Kind() == slog.KindTime {
		a.Value = slog.StringValue(a.Value.Time().UTC().Format(time.RFC3339))
	}
	return a
}

// Enabled reports whether events of that level are written.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.details.Enabled(ctx, level)
}

// Handle writes an event.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	s := h.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.Reset()
	if !r.Time.IsZero() {
		s.line.WriteString(r.Time.Format("15:04:05 "))
	}
	if r.Level != slog.LevelInfo {
		s.line.WriteString(r.Level.String() + " ")
	}
	s.line.WriteString(printable(r.Message))
	s.line.WriteString("  ")
	if err := h.details.Handle(ctx, r); err != nil {
		return err
	}
	line := append(bytes.TrimRight(s.line.Bytes(), " \n"), '\n')
	_, err := s.to.Write(line)
	return err
}

// WithAttrs returns a handler whose events all have those attributes.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{details: h.details.WithAttrs(attrs), shared: h.shared}
}

// WithGroup returns a handler whose events have their attributes in a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{details: h.details.WithGroup(name), shared: h.shared}
}

// printable quotes a message that a terminal would take for more than text.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}
