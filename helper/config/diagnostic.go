package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Severity tells errors from warnings.
type Severity uint8

// The severities. A configuration with an Error is not used.
const (
	Error Severity = iota
	Warning
)

func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// A Diagnostic is one thing that is wrong, or doubtful, in a configuration.
type Diagnostic struct {
	Severity Severity
	// File is the file's name, or "command line".
	File string
	// Line and Column count from 1, the column in characters. Both are 0 when
	// the diagnostic is about no place in a file.
	Line, Column int
	// Source is the line, with unprintable characters replaced, passwords
	// hidden, and shortened when it is very long.
	Source string
	// Mark and Width are the characters of Source that it is about.
	Mark, Width int
	// Message says what is wrong.
	Message string
	// Hint, unless empty, says what to do about it.
	Hint string
}

// String is the diagnostic on several lines, without a final newline:
//
//	helper.conf:3:1: error: unknown key "certDir"
//	  3 | certDir = "/run/tls"
//	    | ^^^^^^^
//	  it is spelled cert_dir
func (d Diagnostic) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s", d.place(), d.Severity, d.Message)
	if d.Line > 0 {
		number := fmt.Sprint(d.Line)
		fmt.Fprintf(&b, "\n  %s | %s", number, d.Source)
		fmt.Fprintf(&b, "\n  %*s | %s%s", len(number), "", strings.Repeat(" ", d.Mark), strings.Repeat("^", max(d.Width, 1)))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "\n  %s", d.Hint)
	}
	return b.String()
}

func (d Diagnostic) place() string {
	if d.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

// Diagnostics are all that was found, in the order of the file.
type Diagnostics []Diagnostic

// HasErrors reports whether one of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err returns an error that holds the errors among the diagnostics, or nil.
func (ds Diagnostics) Err() error {
	var lines []string
	for _, d := range ds {
		if d.Severity == Error {
			lines = append(lines, d.String())
		}
	}
	if lines == nil {
		return nil
	}
	return errors.New(strings.Join(lines, "\n"))
}

// String is all of them, each on its lines.
func (ds Diagnostics) String() string {
	var b strings.Builder
	ds.WriteTo(&b)
	return b.String()
}

// WriteTo writes String to w.
func (ds Diagnostics) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	for _, d := range ds {
		b.WriteString(d.String())
		b.WriteByte('\n')
	}
	return b.WriteTo(w)
}

// maxDiagnostics is as many as a person would read.
const maxDiagnostics = 50

// reporter collects diagnostics about one file.
type reporter struct {
	file    string
	src     []byte
	secrets []span // never shown
	found   []located
}

type located struct {
	span
	Diagnostic
}

// noSpan is the place of a diagnostic about the command line, or about
// something that is missing from the file.
var noSpan = span{-1, -1}

func (r *reporter) errorf(sp span, hint, format string, args ...any) {
	r.add(Error, sp, hint, fmt.Sprintf(format, args...))
}

func (r *reporter) warnf(sp span, hint, format string, args ...any) {
	r.add(Warning, sp, hint, fmt.Sprintf(format, args...))
}

func (r *reporter) add(s Severity, sp span, hint, message string) {
	r.found = append(r.found, located{sp, Diagnostic{Severity: s, File: r.file, Message: message, Hint: hint}})
}

// commandLine stands in place of a file's name.
const commandLine = "command line"

func (r *reporter) flagErrorf(hint, format string, args ...any) {
	r.found = append(r.found, located{noSpan, Diagnostic{File: commandLine, Message: fmt.Sprintf(format, args...), Hint: hint}})
}

func (r *reporter) failed() bool {
	return slices.ContainsFunc(r.found, func(l located) bool { return l.Severity == Error })
}

// diagnostics returns what was found, in the order of the file, with lines and
// columns. What is about no place comes last.
func (r *reporter) diagnostics() Diagnostics {
	slices.SortStableFunc(r.found, func(a, b located) int {
		if aNone, bNone := a.start < 0, b.start < 0; aNone != bNone {
			if aNone {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.start, b.start)
	})
	var ds Diagnostics
	for i, l := range r.found {
		if i == maxDiagnostics {
			return append(ds, Diagnostic{Severity: Error, File: r.file, Message: fmt.Sprintf("and %d more", len(r.found)-i)})
		}
		if l.start >= 0 {
			r.locate(&l)
		}
		ds = append(ds, l.Diagnostic)
	}
	return ds
}

// maxSource is how many characters of a line are shown.
const maxSource = 120

// locate fills in line, column and source line.
func (r *reporter) locate(l *located) {
	at := min(l.start, len(r.src))
	lineStart := bytes.LastIndexByte(r.src[:at], '\n') + 1
	lineEnd := len(r.src)
	if i := bytes.IndexByte(r.src[at:], '\n'); i >= 0 {
		lineEnd = at + i
	}
	l.Line = bytes.Count(r.src[:at], []byte("\n")) + 1
	l.Column = utf8.RuneCount(r.src[lineStart:at]) + 1
	shown := r.printable(lineStart, lineEnd)
	l.Mark = min(l.Column-1, len(shown))
	l.Width = utf8.RuneCount(r.src[at:max(at, min(l.end, lineEnd))])
	if l.Mark > maxSource-20 {
		cut := l.Mark - 20
		shown, l.Mark = shown[cut:], 20
	}
	if len(shown) > maxSource {
		shown = append(shown[:maxSource], '…')
	}
	l.Width = max(1, min(l.Width, len(shown)-l.Mark))
	l.Source = strings.TrimRight(string(shown), " ")
}

// printable returns a line's characters, one for one, with secrets starred and
// whatever could steer a terminal replaced.
func (r *reporter) printable(start, end int) []rune {
	var line []rune
	for i := start; i < end; {
		c, n := utf8.DecodeRune(r.src[i:end])
		switch {
		case r.secret(i):
			c = '*'
		case c == '\t' || c == '\r':
			c = ' '
		case !unicode.IsPrint(c):
			c = '·'
		}
		line = append(line, c)
		i += n
	}
	return line
}

func (r *reporter) secret(i int) bool {
	return slices.ContainsFunc(r.secrets, func(s span) bool { return s.start <= i && i < s.end })
}
