package config

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

type nodeKind uint8

const (
	nodeString nodeKind = iota
	nodeNumber
	nodeBool
	nodeNull
	nodeBare // text that lacks its quotes
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

// maxSyntaxErrors is how many syntax errors are looked for, one a round. In a
// file of so many tokens, a round counts twice.
const (
	maxSyntaxErrors = 10
	tokensARound    = 2000
)

// parseTree returns the outermost object of src. A syntax error leaves out the
// outermost item that it is in, and the rest is still good for finding more.
func parseTree(src []byte, r *reporter) *node {
	json := isJSON(src)
	tokens, ok := scan(src, json, r)
	r.secrets = secrets(src, tokens)
	root := &node{kind: nodeObject, span: span{0, len(src)}}
	if !ok {
		return root
	}
	if json {
		tokens = unwrap(tokens, r)
	}
	l := newLayout(src, tokens)
	b := &builder{tokens, json, r}
	for rounds := maxSyntaxErrors; rounds > 0; rounds -= 1 + len(tokens)/tokensARound {
		object, diags := l.parse(r.file)
		if !diags.HasErrors() {
			root.items = b.items(object.(*hclsyntax.ObjectConsExpr))
			return root
		}
		at := diags.Errs()[0].(*hcl.Diagnostic).Subject.Start.Byte
		b.explain(at, l.drop(at), l)
	}
	return root
}

// parse lets hcl/v2 parse the text. The brace that is put in front of it is at
// offset -1.
func (l *layout) parse(file string) (hclsyntax.Expression, hcl.Diagnostics) {
	return hclsyntax.ParseExpression(slices.Concat([]byte("{"), l.text, []byte("}")), file, hcl.Pos{Byte: -1})
}

// isJSON reports whether the first character that is not white space is a
// brace.
func isJSON(src []byte) bool {
	src = bytes.TrimLeft(src, " \t\r\n")
	return len(src) > 0 && src[0] == '{'
}

// unwrap removes the braces around a JSON document.
func unwrap(tokens []token, r *reporter) []token {
	depth := 0
	for i, t := range tokens {
		if t.kind != tokPunct {
			continue
		}
		switch r.src[t.start] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 0 {
			if i+1 < len(tokens) {
				r.errorf(tokens[i+1].span, "remove it", "text after the end of the JSON document")
			}
			return tokens[1:i]
		}
	}
	return nil
}

// secrets returns what follows, on its line, a key that holds a password.
func secrets(src []byte, tokens []token) []span {
	var spans []span
	hiding, key := false, 0
	for i, t := range tokens {
		if t.newline && i > key+2 { // the value may stand on another line than its key
			hiding = false
		}
		if hiding && t.kind != tokPunct {
			spans = append(spans, t.span)
		}
		if !hiding && isKeyToken(t) && secretKey(src[t.start:t.end]) {
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

// builder turns what hcl/v2 made of the layout into nodes with the file's own
// text.
type builder struct {
	tokens []token
	json   bool
	*reporter
}

// token returns the index of the token at the offset, or of the last one before
// it; -1 if there is none.
func (b *builder) token(offset int) int {
	i, found := slices.BinarySearchFunc(b.tokens, offset, func(t token, o int) int { return cmp.Compare(t.start, o) })
	if !found {
		i--
	}
	return i
}

func (b *builder) items(object *hclsyntax.ObjectConsExpr) []*item {
	var items []*item
	for _, it := range object.Items {
		items = append(items, b.item(it.KeyExpr.Range().Start.Byte, it.ValueExpr))
	}
	return items
}

// item reads key and labels from the tokens between the offset and the value.
func (b *builder) item(offset int, value hclsyntax.Expression) *item {
	i := b.token(offset)
	key := b.tokens[i]
	it := &item{key: b.label(key).text, at: key.span}
	for _, t := range b.tokens[i+1:] {
		if !isKeyToken(t) {
			break
		}
		it.labels = append(it.labels, b.label(t))
	}
	it.value = b.value(value)
	return it
}

func (b *builder) label(t token) label {
	if t.kind == tokString {
		return label{t.span, b.unquote(t)}
	}
	return label{t.span, string(b.src[t.start:t.end])}
}

func (b *builder) value(e hclsyntax.Expression) *node {
	rng := e.Range()
	n := &node{span: span{rng.Start.Byte, rng.End.Byte}}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		b.scalar(n)
	case *hclsyntax.TupleConsExpr:
		n.kind = nodeList
		for _, elem := range e.Exprs {
			n.elems = append(n.elems, b.value(elem))
		}
	case *hclsyntax.ObjectConsExpr:
		n.kind = nodeObject
		n.items = b.items(e)
	default: // such as [1] [2], which hcl/v2 takes for an index
		n.kind = nodeNull
		b.errorf(n.span, "a list separates its elements with commas", "not a value")
	}
	return n
}

func (b *builder) scalar(n *node) {
	t := b.tokens[b.token(n.start)]
	n.span = t.span
	n.text = string(b.src[t.start:t.end])
	switch {
	case t.kind == tokString:
		n.kind = nodeString
		n.text = b.unquote(t)
	case t.kind == tokHeredoc:
		n.kind = nodeString
		n.text = heredocText(b.src[t.start:t.end])
		b.checkText(t.span, n.text)
	case t.kind == tokNumber:
		n.kind = nodeNumber
	case n.text == "true" || n.text == "false":
		n.kind = nodeBool
	case n.text == "null":
		n.kind = nodeNull
	default:
		n.kind = nodeBare
	}
}

// explain reports the syntax error at the offset, which made us drop an item, in
// our words. What hcl/v2 says is about the layout, which nobody else has seen.
func (b *builder) explain(offset int, dropped span, l *layout) {
	reported := false
	for _, start := range l.missing {
		if dropped.start <= start && start < dropped.end {
			b.noValue(b.token(start))
			reported = true
		}
	}
	if reported {
		return
	}
	i := max(b.token(offset), 0)
	if b.tokens[i].end <= offset && i+1 < len(b.tokens) {
		i++ // between two tokens: it is the second that is unexpected
	}
	t := b.tokens[i]
	n, isKey := slices.BinarySearch(l.keys, t.start)
	switch {
	case isKey:
		b.noValue(i)
	case n == 0:
		b.errorf(t.span, `a file begins with key = "value", or key { … }`, "unexpected %s", b.quoted(t))
	default:
		key := b.tokens[b.token(l.keys[n-1])]
		b.errorf(t.span, "a value is one string in double quotes, a number, a list [ … , … ] or a block { … }",
			"unexpected %s after the value of %s", b.quoted(t), b.show(key.span))
	}
}

// quoted shows a token in quotes.
func (b *builder) quoted(t token) string {
	text := b.show(t.span)
	if t.kind != tokString {
		text = `"` + text + `"`
	}
	return text
}

// noValue reports the key without a value that is token i.
func (b *builder) noValue(i int) {
	key := b.tokens[i]
	name := b.show(key.span)
	hint := fmt.Sprintf(`write %s = "…"`, name)
	if isBlock(name) {
		hint = fmt.Sprintf("write %s { … }", name)
	}
	if i+1 < len(b.tokens) && b.tokens[i+1].kind == tokString && !b.tokens[i+1].newline {
		hint = fmt.Sprintf("write %s = %s", name, b.show(b.tokens[i+1].span))
	}
	b.errorf(key.span, hint, "%s has no value", name)
}
