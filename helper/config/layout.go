package config

import "bytes"

// layout is the text that hcl/v2 parses in place of the file: byte for byte as
// long, so that every offset in it is an offset in the file.
//
// hcl/v2 refuses much that HCL 1 and JSON accept: quoted keys, a key given
// twice, hexadecimal numbers, items that share a line or that a comma
// separates, a block that begins on the next line, "${" in a string. What it is
// needed for is structure, so the layout keeps nothing but structure. It is the
// inside of an object:
//
//   - each scalar is the number 1, followed by spaces; its value is read from
//     the file;
//   - each key is a made-up name; labels and comments are spaces;
//   - a block is a key with an object, and line breaks separate items.
//
// What is out of place is written as it stands, for hcl/v2 to judge.
type layout struct {
	src     []byte
	text    []byte
	objects []bool // the open brackets: is it an object?
	state   layoutState
	last    token // the last one that has not become spaces
	keys    []int // where the keys begin
	missing []int // where those begin that have no value
	items   []int // where the outermost keys begin
}

type layoutState uint8

const (
	wantItem  layoutState = iota // a key, or the end of the object
	wantValue                    // a value, or the end of the list
	afterKey                     // labels, then = or {
	afterValue
)

// newLayout lays out the tokens of src. Their brackets match.
func newLayout(src []byte, tokens []token) *layout {
	l := &layout{src: src, text: bytes.Repeat([]byte{' '}, len(src))}
	for i, t := range tokens {
		glued := i+1 < len(tokens) && tokens[i+1].kind == tokPunct && bytes.IndexByte([]byte("=:{"), src[tokens[i+1].start]) >= 0
		l.add(t, glued)
	}
	l.noValue()
	return l
}

// add lays out one token; beforeValue says that a value or a block follows it.
func (l *layout) add(t token, beforeValue bool) {
	c := byte(0)
	if t.kind == tokPunct {
		c = l.src[t.start]
	}
	switch {
	case c == '}' || c == ']':
		l.noValue()
		l.text[t.start] = c
		l.objects = l.objects[:len(l.objects)-1]
		l.state = afterValue
	case c == ',':
		if !l.comma(t) {
			return
		}
	case l.state == wantItem && isKeyToken(t):
		l.key(t)
	case l.state == afterKey && (c == '=' || c == ':'):
		l.text[t.start] = '='
		l.state = wantValue
	case l.state == afterKey && c == '{':
		l.text[t.start-1] = '=' // a block has none; what stands there has one byte to spare
		l.open(t)
	case l.state == afterKey && !t.newline && isKeyToken(t):
		return // a label
	case l.state == afterKey && isKeyToken(t): // the last key has no value
		l.key(t)
	case l.state == wantValue && l.inObject() && t.newline && t.kind == tokWord && beforeValue:
		l.key(t) // neither has this one
	case l.state == afterValue && l.inObject() && isKeyToken(t) && (t.newline || beforeValue || t.kind == tokWord):
		l.key(t)
	case c == '{' || c == '[':
		if l.state == afterValue && !l.inObject() && c == '{' && l.src[l.last.start] == '}' {
			l.separate(t, ',') // objects in a list, one a line
		}
		l.open(t)
	case c != 0:
		l.text[t.start] = c
	default:
		l.text[t.start] = '1'
		l.state = afterValue
	}
	l.last = t
}

// noValue notes, at the end of an item, that it has no value.
func (l *layout) noValue() {
	if l.state == afterKey || l.state == wantValue && l.inObject() {
		l.missing = append(l.missing, l.keys[len(l.keys)-1])
	}
}

func isKeyToken(t token) bool { return t.kind == tokWord || t.kind == tokString }

func (l *layout) inObject() bool { return len(l.objects) == 0 || l.objects[len(l.objects)-1] }

func (l *layout) open(t token) {
	l.text[t.start] = l.src[t.start]
	l.objects = append(l.objects, l.src[t.start] == '{')
	l.state = wantItem
	if l.src[t.start] == '[' {
		l.state = wantValue
	}
}

// comma keeps the commas between the elements of a list; between items, key
// writes the separators. HCL 1 allows one too many. It reports whether the comma
// is still there.
func (l *layout) comma(t token) bool {
	switch {
	case l.inObject() && (l.state == afterValue || l.state == wantItem):
		l.state = wantItem
		return false
	case !l.inObject() && l.state == wantValue:
		return false
	case l.state == afterValue:
		l.state = wantValue
	}
	l.noValue()
	l.text[t.start] = ','
	return true
}

// key writes a name, after a separator.
func (l *layout) key(t token) {
	l.noValue()
	l.keys = append(l.keys, t.start)
	at := t.start
	if len(l.objects) == 0 {
		l.items = append(l.items, t.start)
	}
	if first := l.last.end == 0 || l.last.kind == tokPunct && l.src[l.last.start] == '{'; !first {
		at = l.separate(t, '\n')
	}
	l.text[at] = 'k'
	l.state = afterKey
}

// separate writes c in front of t: between it and the last token, or else on
// that one's last byte, or else on t's first. It returns where t begins.
func (l *layout) separate(t token, c byte) int {
	switch {
	case t.start > l.last.end || l.last.end-l.last.start > 1:
		l.text[t.start-1] = c
	case t.end-t.start > 1:
		l.text[t.start] = c
		return t.start + 1
	}
	return t.start
}

// drop blanks the outermost item that holds the offset, and returns where it
// was.
func (l *layout) drop(offset int) span {
	sp := span{0, len(l.text)}
	for _, start := range l.items {
		if start > offset {
			sp.end = start - 1 // and its separator
			break
		}
		sp.start = start
	}
	for i := sp.start; i < sp.end; i++ {
		l.text[i] = ' '
	}
	return sp
}
