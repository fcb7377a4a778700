package config

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Dialect is the language that a file is written in.
type Dialect uint8

// The dialects. Which one a file has is decided by what stands in it: see
// outline.native.
const (
	// Unread is the dialect of a file that cannot be opened.
	Unread Dialect = iota
	// SpiffeHelper is spiffe-helper's: HCL 1 with its flat keys. Nothing in it
	// is interpolated.
	SpiffeHelper
	// Native is HCL 2, with at least one block of ours. Flat keys may stand
	// beside it, and ${env.NAME} is the environment's.
	Native
)

func (d Dialect) String() string {
	if d == Native {
		return "svidhelper's own (HCL 2)"
	}
	return "spiffe-helper's (HCL 1)"
}

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
func parseTree(src []byte, r *reporter, env environ) (*node, Dialect) {
	root := &node{kind: nodeObject, span: span{0, len(src)}}
	if !isText(src, r) {
		return root, Unread
	}
	if json := bytes.HasPrefix(bytes.TrimLeft(src, " \t\r\n"), []byte("{")); json {
		o := outlineOfJSON(src, r)
		return readJSON(o, env, root), o.dialect
	}
	words := &reporter{file: r.file, src: src} // HCL 2 has other words than HCL 1: what it misses in that is no error
	o := outlineOfHCL2(src, words)
	if o.dialect == SpiffeHelper {
		root.items = readHCL1(outlineOfHCL1(src, r))
		return root, SpiffeHelper
	}
	*r, o.reporter = *words, r
	root.items = readHCL2(o, env)
	return root, Native
}

// isText refuses what no dialect allows anywhere: bytes that are not UTF-8, and
// zeros. It reports the first sign of either.
func isText(src []byte, r *reporter) bool {
	if utf8.Valid(src) && bytes.IndexByte(src, 0) < 0 {
		return true
	}
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			r.errorf(span{i, i + 1}, "save the file as UTF-8", "the file is not valid UTF-8")
			return false
		case c < ' ' && !strings.ContainsRune("\t\n\r", c), c == 0x7f:
			r.errorf(span{i, i + 1}, "is it a configuration?", "the file is not text: it has the byte 0x%02x", c)
			return false
		}
		i += n
	}
	return false
}
