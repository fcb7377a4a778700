package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/svidhelper/svidhelper/helper/printable"
)

const (
	// maxDiagnostics is as many as a person would read.
	maxDiagnostics = 50
	// maxFound bounds what we keep, whatever the file.
	maxFound = 1000
	// maxSource is how many characters of a line are shown, and maxShown how
	// many of a word within a message.
	maxSource = 120
	maxShown  = 60
	// maxMessage is how many bytes of a message, or of a hint, are kept.
	maxMessage = 4000
)

// commandLine stands in place of a file's name.
const commandLine = "command line"

// noSpan is the place of what is missing from the file, or is not about it.
var noSpan = span{-1, -1}

// reporter collects diagnostics about one file.
type reporter struct {
	file    string
	src     []byte
	secrets []span // never shown; in order
	found   []located
	failed  bool // one of them is an error
	// presets are the places where the file asks for one; what comes from it is
	// reported there.
	presets map[span]string
}

type located struct {
	span
	Diagnostic
}

func (r *reporter) errorf(sp span, hint, format string, args ...any) {
	r.add(sp, Diagnostic{File: r.file, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reporter) warnf(sp span, hint, format string, args ...any) {
	r.add(sp, Diagnostic{Severity: Warning, File: r.file, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reporter) flagErrorf(hint, format string, args ...any) {
	r.add(noSpan, Diagnostic{File: commandLine, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *reporter) add(sp span, d Diagnostic) {
	if name, ok := r.presets[sp]; ok {
		d.Message += fmt.Sprintf(" (preset %q)", name)
	}
	d.Message, d.Hint = printable.Line(d.Message, maxMessage), printable.Line(d.Hint, maxMessage)
	r.failed = r.failed || d.Severity == Error
	if !r.full() {
		r.found = append(r.found, located{sp, d})
	}
}

// full reports whether further diagnostics are dropped.
func (r *reporter) full() bool { return len(r.found) >= maxFound }

// diagnostics returns what was found, in the order of the file, with lines and
// columns. What is about no place comes last.
func (r *reporter) diagnostics() Diagnostics {
	slices.SortStableFunc(r.found, func(a, b located) int {
		return cmp.Compare(uint(a.start), uint(b.start)) // noSpan is the largest
	})
	var ds Diagnostics
	for i, l := range r.found[:min(len(r.found), maxDiagnostics)] {
		if l.start >= 0 {
			r.locate(&r.found[i])
		}
		ds = append(ds, r.found[i].Diagnostic)
	}
	if more := r.found[len(ds):]; len(more) > 0 {
		d := Diagnostic{Severity: Warning, File: r.file, Message: fmt.Sprintf("and %d more", len(more))}
		if slices.ContainsFunc(more, func(l located) bool { return l.Severity == Error }) {
			d.Severity = Error
		}
		ds = append(ds, d)
	}
	return ds
}

// locate fills in line, column and source line.
func (r *reporter) locate(l *located) {
	at := min(l.start, len(r.src))
	lineStart := bytes.LastIndexByte(r.src[:at], '\n') + 1
	lineEnd := len(r.src)
	if i := bytes.IndexByte(r.src[at:], '\n'); i >= 0 {
		lineEnd = at + i
	}
	end := max(at, min(l.end, lineEnd))
	l.Line = r.line(l.span)
	l.Column = utf8.RuneCount(r.src[lineStart:at]) + 1

	first := lineStart // of what is shown
	if l.Column > maxSource-20 {
		first = at
		for range 20 {
			_, n := utf8.DecodeLastRune(r.src[lineStart:first])
			first -= n
		}
	}
	source, whole := r.printable(span{first, lineEnd}, maxSource)
	l.Source = strings.TrimRight(source, " ")
	if !whole {
		l.Source += "…"
	}
	l.Mark = utf8.RuneCount(r.src[first:at])
	l.Width = max(1, min(utf8.RuneCount(r.src[at:end]), maxSource-l.Mark))
}

// line is the number of the line that a place begins in.
func (r *reporter) line(sp span) int {
	return bytes.Count(r.src[:max(sp.start, 0)], []byte("\n")) + 1
}

// show returns what stands in the file, for a message.
func (r *reporter) show(sp span) string {
	text, whole := r.printable(sp, maxShown)
	if !whole {
		text += "…"
	}
	return text
}

// printable returns at most limit characters of the file, one for one, with
// secrets starred and whatever could steer a terminal replaced, and whether
// that is all of them.
func (r *reporter) printable(sp span, limit int) (text string, whole bool) {
	var b strings.Builder
	for i := sp.start; i < sp.end; limit-- {
		if limit == 0 {
			return b.String(), false
		}
		c, n := utf8.DecodeRune(r.src[i:sp.end])
		switch {
		case r.secret(i):
			c = '*'
		case c == '\t' || c == '\r':
			c = ' '
		case !unicode.IsPrint(c):
			c = '·'
		}
		b.WriteRune(c)
		i += n
	}
	return b.String(), true
}

func (r *reporter) secret(at int) bool {
	i, found := slices.BinarySearchFunc(r.secrets, at, func(s span, at int) int { return cmp.Compare(s.start, at) })
	return found || i > 0 && at < r.secrets[i-1].end
}
