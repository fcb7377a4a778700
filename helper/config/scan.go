package config

import (
	"bytes"
	"cmp"
	"fmt"
	"unicode/utf8"
)

// Bounds on what a file can make us do. A helper.conf with a thousand
// JWT-SVIDs stays well below all of them.
const (
	maxSize   = 1 << 20 // bytes
	maxTokens = 40_000
	maxDepth  = 32
)

// A span is a range of bytes in the file.
type span struct{ start, end int }

type tokenKind uint8

const (
	tokWord    tokenKind = iota // an identifier; true, false and null too
	tokString                   // in double quotes
	tokHeredoc                  // <<EOF … EOF
	tokNumber                   // begins with a digit, or minus and a digit
	tokBare                     // text where a value should be, unquoted
	tokPunct                    // one of = : , { } [ ]
)

// A token is a token of HCL 1 or JSON. Comments and white space are not tokens.
type token struct {
	kind    tokenKind
	newline bool // first on its line
	span
}

// scanner cuts a file into tokens by the rules of HCL 1, where "${" makes
// quotes and line breaks part of a string up to its closing brace. hcl/v2's own
// scanner would look for templates there.
type scanner struct {
	src     []byte
	report  *reporter
	pos     int
	newline bool
	tokens  []token
	open    []token // brackets that are still open
	odd     string  // the first sign of a bracket that is missing
	broken  bool    // brackets do not match: there is no structure to judge
	literal bool    // "${" is text like any other
}

// scan returns the tokens of src, and whether their brackets match.
func scan(src []byte, json bool, r *reporter) ([]token, bool) {
	s := &scanner{src: src, literal: json, report: r, newline: true}
	for s.next() {
		if r.full() {
			return s.tokens, false
		}
		if len(s.tokens) > maxTokens {
			r.errorf(span{s.pos, s.pos}, "", "the file has more than %d words", maxTokens)
			return s.tokens, false
		}
	}
	for _, t := range s.open {
		r.errorf(t.span, cmp.Or(s.odd, fmt.Sprintf("add a %q where it ends", string(closing(src[t.start])))), "%q is never closed", src[t.start:t.end])
	}
	return s.tokens, !s.broken && len(s.open) == 0
}

func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.src) {
		return s.src[s.pos+n]
	}
	return 0
}

func (s *scanner) emit(kind tokenKind, end int) {
	s.tokens = append(s.tokens, token{kind, s.newline, span{s.pos, end}})
	s.newline = false
	s.pos = end
}

// next takes one step: a token, a comment or white space.
func (s *scanner) next() bool {
	if s.pos >= len(s.src) || s.broken {
		return false
	}
	switch c := s.src[s.pos]; {
	case c == '\n':
		s.newline = true
		s.pos++
	case c == ' ' || c == '\t' || c == '\r':
		s.pos++
	case c == '#', c == '/' && s.peek(1) == '/':
		s.pos = s.lineEnd(s.pos)
	case c == '/' && s.peek(1) == '*':
		s.blockComment()
	case c == '"':
		s.emit(tokString, s.stringEnd())
	case c == '<' && s.peek(1) == '<':
		s.heredoc()
	case bytes.IndexByte([]byte("=:,{}[]"), c) >= 0:
		s.punct(c)
	default:
		s.wordOrNumber()
	}
	return true
}

func (s *scanner) lineEnd(from int) int {
	if i := bytes.IndexByte(s.src[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(s.src)
}

func (s *scanner) blockComment() {
	i := bytes.Index(s.src[s.pos+2:], []byte("*/"))
	if i < 0 {
		s.report.errorf(span{s.pos, s.pos + 2}, "end it with */", "the comment is never closed")
		s.pos = len(s.src)
		return
	}
	end := s.pos + 2 + i + 2
	s.newline = s.newline || bytes.IndexByte(s.src[s.pos:end], '\n') >= 0
	s.pos = end
}

// stringEnd returns the end of the string that begins at pos. A string that is
// not closed ends with its line, so that what follows is still looked at.
func (s *scanner) stringEnd() int {
	braces := 0
	for i := s.pos + 1; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '\\':
			i++
		case c == '"' && braces == 0:
			return i + 1
		case c == '\n' && braces == 0:
			return s.unclosedString("end it with a double quote on its line")
		case c == '$' && braces == 0 && !s.literal && i+1 < len(s.src) && s.src[i+1] == '{':
			braces++
			i++
		case c == '{' && braces > 0:
			braces++
		case c == '}' && braces > 0:
			braces--
		}
	}
	if braces > 0 {
		s.literal = true // or each further one would be looked for up to the end
		return s.unclosedString(`"${" needs its "}" within the string; a lone one is written \u0024{`)
	}
	return s.unclosedString("end it with a double quote on its line")
}

func (s *scanner) unclosedString(hint string) int {
	end := s.lineEnd(s.pos)
	s.report.errorf(span{s.pos, end}, hint, "the string is never closed")
	return end
}

// heredoc takes <<EOF, lines, EOF. The closing marker may be indented.
func (s *scanner) heredoc() {
	first := s.lineEnd(s.pos)
	opening := bytes.TrimSuffix(s.src[s.pos:first], []byte("\r"))
	marker, _ := heredocMarker(opening)
	if len(marker) == 0 {
		s.stray(s.pos + 2)
		return
	}
	if written := bytes.ReplaceAll(opening, []byte(" "), nil); len(written) < len(opening) {
		s.report.errorf(span{s.pos, first}, "write "+string(written), "a heredoc begins with << and a word, without spaces")
	}
	for line := first + 1; line <= len(s.src); {
		end := s.lineEnd(line)
		if bytes.Equal(bytes.TrimSpace(s.src[line:end]), marker) {
			s.emit(tokHeredoc, end)
			return
		}
		line = end + 1
	}
	s.report.errorf(span{s.pos, first}, "end it with a line that holds "+string(marker), "the heredoc is never closed")
	s.emit(tokHeredoc, len(s.src))
}

// heredocMarker returns the marker of a heredoc's first line, and whether it
// is of the indented form.
func heredocMarker(line []byte) (marker []byte, indented bool) {
	line, indented = bytes.CutPrefix(bytes.TrimSpace(line[len("<<"):]), []byte("-"))
	for _, c := range line {
		if !isWord(rune(c)) || c >= utf8.RuneSelf {
			return nil, false
		}
	}
	return line, indented
}

func (s *scanner) punct(c byte) {
	s.emit(tokPunct, s.pos+1)
	t := s.tokens[len(s.tokens)-1]
	switch c {
	case '{', '[':
		s.open = append(s.open, t)
		if len(s.open) > maxDepth {
			s.report.errorf(t.span, "", "nested more than %d deep", maxDepth)
			s.open, s.broken = nil, true
		}
	case '}', ']':
		s.close(t, c)
	}
}

// closing is the bracket that closes another: '{' and '}', like '[' and ']', are
// two code points apart.
func closing(open byte) byte { return open + 2 }

// close matches a closing bracket with the last open one.
func (s *scanner) close(t token, c byte) {
	if len(s.open) == 0 {
		s.report.errorf(t.span, "remove it, or see what is missing above", "%q closes nothing", string(c))
		s.broken = true
		return
	}
	last := s.open[len(s.open)-1]
	if closing(s.src[last.start]) != c {
		s.report.errorf(last.span, "", "%q is never closed", s.src[last.start:last.end])
		s.report.errorf(t.span, fmt.Sprintf("write %q", string(closing(s.src[last.start]))), "%q does not close it", string(c))
		s.open, s.broken = nil, true
		return
	}
	s.open = s.open[:len(s.open)-1]
	if s.odd == "" && t.newline && s.indent(t.start) != s.indent(last.start) {
		s.odd = fmt.Sprintf("the %q in line %d closes the one in line %d, but is not indented like it", string(c), s.report.line(t.span), s.report.line(last.span))
	}
}

// indent returns the white space that the line of the offset begins with.
func (s *scanner) indent(at int) string {
	line := s.src[bytes.LastIndexByte(s.src[:at], '\n')+1 : at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// stray reports what can stand nowhere, and passes over it.
func (s *scanner) stray(end int) {
	sp := span{s.pos, end}
	text := s.src[s.pos:end]
	switch {
	case text[0] == '\'':
		s.report.errorf(sp, "strings stand in double quotes", "unexpected single quote")
	case !utf8.Valid(text): // and nothing that follows would make sense
		s.report.errorf(sp, "save the file as UTF-8", "the file is not valid UTF-8")
		s.broken = true
	case text[0] < ' ' || text[0] == 0x7f:
		s.report.errorf(sp, "is it a configuration?", "the file is not text: it has the byte 0x%02x", text[0])
		s.broken = true
	default:
		s.report.errorf(sp, "", "unexpected %q", text)
	}
	s.pos = end
}
