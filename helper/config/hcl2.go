package config

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxOperators bounds what the parser of HCL 2 calls itself for, beside
// brackets. None of it is of use in a configuration.
const maxOperators = 1000

// outlineOfHCL2 returns the outline of src by the lexer of HCL 2. That lexer
// takes a string that is never closed for the rest of the file, so we start it
// again on the next line.
func outlineOfHCL2(src []byte, r *reporter) *outline {
	o := newOutline(src, r)
	for from, budget := 0, maxWords; from < len(src) && !o.full && budget > 0; {
		tokens, _ := hclsyntax.LexConfig(src[from:], r.file, hcl.Pos{Byte: from, Line: 1, Column: 1})
		from = o.addHCL2(tokens)
		budget -= len(tokens)
	}
	return o.end()
}

var hcl2Tokens = map[hclsyntax.TokenType]tokenKind{
	hclsyntax.TokenIdent: tokWord, hclsyntax.TokenQuotedLit: tokString, hclsyntax.TokenEqual: tokPunct, hclsyntax.TokenComma: tokPunct,
	hclsyntax.TokenOBrace: tokOpen, hclsyntax.TokenOBrack: tokOpen, hclsyntax.TokenOParen: tokOpen,
	hclsyntax.TokenCBrace: tokClose, hclsyntax.TokenCBrack: tokClose, hclsyntax.TokenCParen: tokClose,
	hclsyntax.TokenTemplateInterp: tokOpen, hclsyntax.TokenTemplateControl: tokOpen, hclsyntax.TokenTemplateSeqEnd: tokClose,
}

// addHCL2 adds tokens up to the end of a string that is never closed, or all of
// them. It returns where it stopped.
func (o *outline) addHCL2(tokens hclsyntax.Tokens) int {
	operators, quote := 0, span{}
	for _, t := range tokens {
		sp := spanOf(t.Range)
		switch t.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenEOF:
			continue
		case hclsyntax.TokenQuotedNewline:
			o.wrong(span{quote.start, sp.start}, "end it with a double quote on its line", "the string is never closed")
			return sp.end
		case hclsyntax.TokenOQuote:
			quote = sp
		case hclsyntax.TokenQuestion, hclsyntax.TokenBang, hclsyntax.TokenMinus:
			operators++
		}
		if operators > maxOperators {
			o.wrong(sp, "", "more than %d operators", maxOperators)
			o.full = true
		}
		if o.add(hcl2Tokens[t.Type], sp); o.full {
			break
		}
	}
	return len(o.src)
}

// readHCL2 returns the items of a file of ours.
func readHCL2(o *outline) []*item {
	if o.full {
		return nil
	}
	r := &hcl2Reader{reporter: o.reporter, said: map[int]bool{}}
	if body, diags := parseHCL2(o, span{0, len(o.src)}); len(o.reported) == 0 && !diags.HasErrors() {
		return r.body(body)
	}
	return o.salvage(func(c span) (items []*item) {
		body, diags := parseHCL2(o, c)
		r.wrong, r.said = map[int]bool{}, map[int]bool{}
		for _, d := range diags {
			r.wrong[r.line(spanOf(*d.Subject))] = true
		}
		items = r.body(body)
		for _, d := range diags {
			if line := r.line(spanOf(*d.Subject)); !r.said[line] {
				r.said[line] = true
				items = append(items, o.explain(c, d.Subject.Start.Byte, d.Summary, lowerFirst(strings.TrimSuffix(d.Detail, ".")))...)
			}
		}
		return items
	})
}

func parseHCL2(o *outline, c span) (*hclsyntax.Body, hcl.Diagnostics) {
	f, diags := hclsyntax.ParseConfig(o.src[c.start:c.end], o.file, hcl.Pos{Byte: c.start, Line: 1, Column: 1})
	return f.Body.(*hclsyntax.Body), diags
}

// An hcl2Reader turns what HCL 2 made of the file into nodes.
type hcl2Reader struct {
	*reporter
	// wrong are the lines with a syntax error, and said those of them that an
	// error has been reported about, or will be.
	wrong, said map[int]bool
}

func spanOf(r hcl.Range) span { return span{r.Start.Byte, r.End.Byte} }

// body returns arguments and blocks in the order of the file.
func (r *hcl2Reader) body(b *hclsyntax.Body) (items []*item) {
	for _, a := range b.Attributes {
		items = append(items, &item{key: a.Name, at: spanOf(a.NameRange), value: r.value(a.Expr)})
	}
	for _, k := range b.Blocks {
		it := &item{key: k.Type, at: spanOf(k.TypeRange), value: &node{kind: nodeObject, span: spanOf(k.Range()), items: r.body(k.Body)}}
		for i, text := range k.Labels {
			it.labels = append(it.labels, label{spanOf(k.LabelRanges[i]), r.checkText(spanOf(k.LabelRanges[i]), text)})
		}
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.at.start, b.at.start) })
	return items
}

func (r *hcl2Reader) value(e hclsyntax.Expression) *node {
	n := &node{span: spanOf(e.Range())}
	switch e := e.(type) {
	case *hclsyntax.TupleConsExpr:
		n.kind = nodeList
		for _, elem := range e.Exprs {
			n.elems = append(n.elems, r.value(elem))
		}
		return n
	case *hclsyntax.ObjectConsExpr:
		n.kind = nodeObject
		for _, i := range e.Items {
			n.items = append(n.items, r.objectItem(i))
		}
		return n
	}
	if bare, ok := r.bare(e); ok {
		return bare
	}
	return r.scalar(n, e)
}

func (r *hcl2Reader) objectItem(i hclsyntax.ObjectConsItem) *item {
	key := &node{span: spanOf(i.KeyExpr.Range()), text: hcl.ExprAsKeyword(i.KeyExpr)}
	if key.text == "" {
		key = r.value(i.KeyExpr.(*hclsyntax.ObjectConsKeyExpr).Wrapped)
	}
	return &item{key: key.text, at: key.span, value: r.value(i.ValueExpr)}
}

// bare returns the node of text that lacks its quotes: what the parser took for
// a variable or an operation, or stopped in the midst of.
func (r *hcl2Reader) bare(e hclsyntax.Expression) (*node, bool) {
	sp := spanOf(e.Range())
	line, whole := r.line(sp), sp.end
	rest, _, _ := bytes.Cut(r.src[sp.start:], []byte("\n"))
	n := whole - sp.start
	stuck := r.wrong[line] || n < len(rest) && unicode.IsLetter(rune(rest[n])) // as in 30s
	if stuck {
		sp.end = sp.start + len(bareText(rest))
	}
	switch e := e.(type) {
	case *hclsyntax.BinaryOpExpr, *hclsyntax.ConditionalExpr, *hclsyntax.ExprSyntaxError:
	case *hclsyntax.ScopeTraversalExpr:
		if e.Traversal.RootName() == "env" && len(e.Traversal) > 1 {
			return nil, false
		}
	case *hclsyntax.LiteralValueExpr:
		known, number := e.Val.IsKnown(), e.Val.Type() == cty.Number
		if !stuck || known && !number || number && sp.end == whole {
			return nil, false // if anything is wrong, it is what follows
		}
		if !known && (len(rest) == 0 || strings.IndexByte("}],<", rest[0]) >= 0) {
			return &node{span: sp, kind: nodeBroken}, true // explained as what it is
		}
	default:
		return nil, false
	}
	r.said[line] = true
	return &node{span: sp, kind: nodeBare, text: string(r.src[sp.start:sp.end])}, true
}

// scalar evaluates what is neither a list nor an object.
func (r *hcl2Reader) scalar(n *node, e hclsyntax.Expression) *node {
	v, ok := evaluate(r.reporter, e)
	switch {
	case !ok:
		n.kind = nodeBroken
	case v.IsNull():
		n.kind = nodeNull
	case v.Type() == cty.Bool:
		n.kind, n.text = nodeBool, asText(v)
	case v.Type() == cty.Number && r.src[n.start] != '"': // as written: 0644 and 1e1 have a meaning
		n.kind, n.text = nodeNumber, string(r.src[n.start:n.end])
	default:
		n.kind, n.text = nodeString, asText(v)
		if t, ok := e.(*hclsyntax.TemplateExpr); ok && t.IsStringLiteral() && r.src[n.start] == '"' { // as written: a value has its characters composed
			part := spanOf(t.Parts[0].Range())
			n.text, _ = hclsyntax.ParseStringLiteralToken(hclsyntax.Token{Type: hclsyntax.TokenQuotedLit, Bytes: r.src[part.start:part.end]})
		}
		r.checkText(n.span, n.text)
	}
	if len(e.Variables()) > 0 {
		n.expr = string(r.src[n.start:n.end])
		if r.src[n.start] == '<' { // a heredoc, on one line
			n.expr = template(r.src, e)
		}
	}
	return n
}
