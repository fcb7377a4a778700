package config

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// A Dialect is the language that a file is written in, in words.
type Dialect string

// The dialects. Which one a file has is decided by what stands in it: see
// outline.native.
const (
	// Unread is the dialect of a file that cannot be opened.
	Unread Dialect = ""
	// SpiffeHelper has flat keys. Nothing in it is interpolated.
	SpiffeHelper Dialect = "spiffe-helper's (HCL 1)"
	// Native has at least one block of ours. Flat keys may stand beside it, and
	// ${env.NAME} is the environment's.
	Native Dialect = "svidhelper's own (HCL 2)"
)

// A span is a range of bytes in the file.
type span struct{ start, end int }

type nodeKind uint8

const (
	nodeString nodeKind = iota
	nodeNumber
	nodeBool
	nodeNull
	nodeBare   // text that lacks its quotes
	nodeBroken // an error was reported in its place
	nodeList
	nodeObject
)

// A node is a value as the file has it: a scalar, a list or an object.
type node struct {
	span
	kind  nodeKind
	text  string  // of a scalar; a string without its quotes and escapes
	elems []*node // of a list
	items []*item // of an object, in the order of the file
	expr  string  // of a scalar that the environment has part in: as written
}

// An item is a key, the labels of a block, and a value.
type item struct {
	key    string
	at     span // the key
	labels []label
	value  *node
}

type label struct {
	span
	text string
}

// fromEnvironment reports whether a variable has part in the value.
func (n *node) fromEnvironment() bool {
	return n.expr != "" || slices.ContainsFunc(n.elems, (*node).fromEnvironment) ||
		slices.ContainsFunc(n.items, func(it *item) bool { return it.value.fromEnvironment() })
}

// written returns the value as it is written in the native dialect, variables
// by their names.
func (n *node) written() string {
	switch {
	case n.expr != "":
		return n.expr
	case n.kind == nodeList:
		return literalList(n.elems, (*node).written)
	case n.kind == nodeObject:
		var parts []string
		for _, it := range n.items {
			parts = append(parts, quote(it.key)+" = "+it.value.written())
		}
		return literalMap(parts)
	case n.kind == nodeString:
		return quote(n.text)
	}
	return n.text
}

// parseTree returns the outermost object of src, read by the library that
// defines its dialect. Where there is a syntax error, the rest is still good
// for finding more.
func parseTree(src []byte, r *reporter) (*node, Dialect) {
	root := &node{kind: nodeObject, span: span{0, len(src)}}
	if !isText(src, r) {
		return root, Unread
	}
	if bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{")) {
		o := outlineOfJSON(src, r)
		root.items = readJSON(o)
		return root, o.dialect
	}
	o := outlineOfHCL1(src, r)
	if o.dialect == SpiffeHelper && !r.failed {
		root.items = readHCL1(o)
		return root, SpiffeHelper
	}
	// What is wrong in the words of HCL 1 may be right in those of HCL 2.
	said := *r
	*r = reporter{file: r.file, src: src}
	if ours := outlineOfHCL2(src, r); o.dialect == Native || ours.dialect == Native {
		root.items = readHCL2(ours)
		return root, Native
	}
	*r = said
	root.items = readHCL1(o)
	return root, SpiffeHelper
}

// isText refuses what no dialect allows anywhere: bytes that are not UTF-8, and
// zeros. It reports the first of either.
func isText(src []byte, r *reporter) bool {
	switch bad := bytes.IndexRune(src, utf8.RuneError); {
	case bytes.IndexByte(src, 0) >= 0 && bad != 0: // UTF-16 begins with a mark that is no UTF-8
		at := bytes.IndexFunc(src, func(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f })
		r.errorf(span{at, at + 1}, "is it a configuration?", "the file is not text: it has the byte 0x%02x", src[at])
	case !utf8.Valid(src):
		r.errorf(span{bad, bad + 1}, "save the file as UTF-8", "the file is not valid UTF-8")
	default:
		return true
	}
	return false
}
