package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Bounds on what a file can make us do. A helper.conf with a thousand
// JWT-SVIDs stays well below all of them.
const (
	maxSize  = 1 << 20 // bytes
	maxWords = 40_000
	maxDepth = 32
	// maxHeredocs is for HCL 1, which compiles a pattern for each.
	maxHeredocs = 2000
)

// A token is a word of the file, as the lexer of its dialect cuts it. Comments
// and white space are none.
type token struct {
	kind    tokenKind
	newline bool // first on its line
	span
}

type tokenKind uint8

const (
	tokOther  tokenKind = iota
	tokWord             // an identifier
	tokString           // what stands in double quotes, or a part of it
	tokOpen             // a bracket, or ${
	tokClose
	tokPunct
)

// An outline is what the words of a file show before a parser sees them, which
// calls itself for each bracket: that the file is within bounds, that brackets
// match, where its outermost items begin, and what must not be shown.
type outline struct {
	*reporter
	dialect  Dialect
	tokens   []token
	open     []span // brackets that are still open
	items    []int  // where the outermost items begin
	odd      string // the first sign of a bracket that is missing
	full     bool   // out of bounds, or brackets do not match: not for a parser
	reported []int  // where errors have been reported
}

// wordCount returns at least the number of tokens in src, comments included,
// before a lexer sees it that keeps all of them.
func wordCount(src []byte) (n int) {
	inWord := false
	for _, c := range src {
		digit := '0' <= c && c <= '9'
		word := digit || c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		switch {
		case !word && c != ' ' && c != '\t' && c&0xc0 != 0x80, word && !inWord && !digit:
			n++
		case word && !inWord: // 0x1f is two words of HCL 2
			n += 2
		}
		inWord = word
	}
	return n
}

// newOutline starts an outline. A file that has too many words is full at once.
func newOutline(src []byte, r *reporter) *outline {
	o := &outline{reporter: r, dialect: SpiffeHelper}
	if o.full = wordCount(src) > maxWords; o.full {
		o.errorf(span{0, 0}, "is it the right one?", "the file has more than %d words", maxWords)
	}
	return o
}

func (o *outline) wrong(at span, hint, format string, args ...any) {
	o.errorf(at, hint, format, args...)
	o.reported = append(o.reported, at.start)
}

// add adds the next token.
func (o *outline) add(kind tokenKind, sp span) {
	t := token{kind: kind, span: sp, newline: len(o.tokens) == 0}
	var last token
	if !t.newline {
		last = o.tokens[len(o.tokens)-1]
		t.newline = bytes.IndexByte(o.src[last.end:max(sp.start, last.end)], '\n') >= 0
	}
	o.tokens = append(o.tokens, t)
	switch {
	case kind == tokOpen:
		o.open = append(o.open, sp)
		if len(o.open) > maxDepth {
			o.wrong(sp, "", "nested more than %d deep", maxDepth)
			o.open, o.full = nil, true
		}
	case kind == tokClose:
		o.close(t)
	case kind == tokWord && t.newline && len(o.open) == 0:
		o.items = append(o.items, sp.start)
		if !o.is(last, "=") {
			o.native(o.src[sp.start:sp.end])
		}
	}
}

// native decides on the dialect: a file with one of our blocks is ours.
func (o *outline) native(key []byte) {
	switch string(key) {
	case "output", "process", "hook", "health", "log":
		o.dialect = Native
	}
}

func (o *outline) is(t token, text string) bool {
	return string(o.src[t.start:t.end]) == text
}

// closing are the brackets that close others.
var closing = map[byte]byte{'{': '}', '[': ']', '(': ')', '$': '}', '%': '}'}

// close matches a closing bracket with the last open one.
func (o *outline) close(t token) {
	c := o.src[t.end-1]
	if len(o.open) == 0 {
		o.wrong(t.span, "remove it, or see what is missing above", "%q closes nothing", string(c))
		o.full = true
		return
	}
	last := o.open[len(o.open)-1]
	if want := closing[o.src[last.start]]; want != c {
		o.wrong(last, "", "%q is never closed", o.src[last.start:last.end])
		o.wrong(t.span, fmt.Sprintf("write %q", string(want)), "%q does not close it", string(c))
		o.open, o.full = nil, true
		return
	}
	o.open = o.open[:len(o.open)-1]
	if o.odd == "" && t.newline && o.indent(t.start) != o.indent(last.start) {
		o.odd = fmt.Sprintf("the %q in line %d closes the one in line %d, but is not indented like it", string(c), o.line(t.span), o.line(last))
	}
}

// indent returns the white space that the line of the offset begins with.
func (o *outline) indent(at int) string {
	line := o.src[bytes.LastIndexByte(o.src[:at], '\n')+1 : at]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// end reports brackets that are still open, and notes what is secret.
func (o *outline) end() *outline {
	for _, sp := range o.open {
		o.wrong(sp, cmp.Or(o.odd, fmt.Sprintf("add a %q where it ends", string(closing[o.src[sp.start]]))), "%q is never closed", o.src[sp.start:sp.end])
		o.full = true
	}
	o.secrets = o.secretSpans()
	return o
}

// salvage parses the outermost items one by one, each up to the next, which is
// what is left to do when the file as a whole has a syntax error.
func (o *outline) salvage(parse func(chunk span) []*item) (items []*item) {
	starts := append([]int{0}, o.items...)
	for i, start := range starts {
		c := span{start, len(o.src)}
		if i+1 < len(starts) {
			c.end = starts[i+1]
		}
		said := slices.ContainsFunc(o.reported, func(at int) bool { return c.start <= at && at < c.end })
		if c.start < c.end && !said && !o.reporter.full() {
			items = append(items, parse(c)...)
		}
	}
	return items
}

// secretSpans returns what follows, on its line, a key that holds a password.
func (o *outline) secretSpans() (spans []span) {
	hiding, key := false, 0
	for i, t := range o.tokens {
		if t.newline && i > key+2 { // the value may stand on another line than its key
			hiding = false
		}
		if hiding && t.kind != tokPunct && t.kind != tokOpen && t.kind != tokClose {
			spans = append(spans, t.span)
		}
		if !hiding && (t.kind == tokWord || t.kind == tokString) && secretKey(o.src[t.start:t.end]) {
			hiding, key = true, i
		}
	}
	return spans
}

// secretKey reports whether a password follows the key.
func secretKey(key []byte) bool {
	key = bytes.ToLower(key)
	return bytes.Contains(key, []byte("password")) && !bytes.Contains(key, []byte("password_file"))
}
