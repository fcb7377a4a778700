package config

import (
	"bytes"
	"cmp"
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

// maxSyntaxErrors is how many syntax errors are looked for.
const maxSyntaxErrors = 10

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
	b := &builder{src, tokens, json, r}
	for range maxSyntaxErrors {
		file, diags := hclsyntax.ParseConfig(l.text, r.file, hcl.InitialPos)
		if !diags.HasErrors() {
			root.items = b.body(file.Body.(*hclsyntax.Body))
			return root
		}
		at := diags.Errs()[0].(*hcl.Diagnostic).Subject.Start.Byte
		b.explain(at, l.drop(at))
	}
	return root
}

// isJSON reports whether the first character that is not white space is a
// brace.
func isJSON(src []byte) bool {
	src = bytes.TrimLeft(bytes.TrimPrefix(src, []byte("\ufeff")), " \t\r\n")
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
				r.errorf(tokens[i+1].span, "", "text after the end of the JSON document")
			}
			return tokens[1:i]
		}
	}
	return nil
}

// secrets returns the values of keys that hold passwords.
func secrets(src []byte, tokens []token) []span {
	var spans []span
	for i := 0; i+2 < len(tokens); i++ {
		key := bytes.ToLower(src[tokens[i].start:tokens[i].end])
		if tokens[i+1].kind == tokPunct && bytes.Contains(key, []byte("password")) && !bytes.Contains(key, []byte("file")) {
			spans = append(spans, tokens[i+2].span)
		}
	}
	return spans
}

// builder turns what hcl/v2 made of the layout into nodes with the file's own
// text.
type builder struct {
	src    []byte
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

func (b *builder) body(body *hclsyntax.Body) []*item {
	var items []*item
	for _, a := range body.Attributes {
		items = append(items, b.item(a.NameRange.Start.Byte, a.Expr))
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.at.start, b.at.start) })
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
		for _, it := range e.Items {
			n.items = append(n.items, b.item(it.KeyExpr.Range().Start.Byte, it.ValueExpr))
		}
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

// explain reports the syntax error at the offset in our words. What hcl/v2 says
// is about the layout, which nobody else has seen.
func (b *builder) explain(offset int, within span) {
	at := max(b.token(offset), 0)
	if at+1 < len(b.tokens) && b.tokens[at].end <= offset {
		at++ // between two tokens: it is the second that is unexpected
	}
	key := max(b.token(within.start), 0)
	if len(b.tokens) == 0 {
		b.errorf(span{0, 0}, "", "this is not a configuration")
		return
	}
	k, t := b.tokens[key], b.tokens[at]
	name := string(b.src[k.start:k.end])
	switch {
	case !isKeyToken(k):
		b.errorf(t.span, "", "unexpected %q", b.src[t.start:t.end])
	case at <= key+1 || t.newline:
		b.errorf(k.span, `write key = "value", or key { … }`, "%s has no value", name)
	default:
		b.errorf(t.span, "a value is one string in double quotes, a number, a list [ , ] or a block { }",
			"unexpected %q after %s", b.src[t.start:t.end], name)
	}
}
