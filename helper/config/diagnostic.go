package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	b.WriteString(d.File)
	if d.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", d.Line, d.Column)
	}
	fmt.Fprintf(&b, ": %s: %s", d.Severity, d.Message)
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

// Diagnostics are all that was found, in the order of the file.
type Diagnostics []Diagnostic

// HasErrors reports whether one of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// OfCommandLine reports whether there are errors, all about the command line.
func (ds Diagnostics) OfCommandLine() bool {
	return ds.HasErrors() && !slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error && d.File != commandLine })
}

// Err returns an error that holds the errors among the diagnostics, or nil.
func (ds Diagnostics) Err() error {
	failures := slices.DeleteFunc(slices.Clone(ds), func(d Diagnostic) bool { return d.Severity != Error })
	if len(failures) == 0 {
		return nil
	}
	return errors.New(strings.TrimSuffix(failures.String(), "\n"))
}

// String is all of them, each on its lines.
func (ds Diagnostics) String() string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(d.String())
		b.WriteByte('\n')
	}
	return b.String()
}
