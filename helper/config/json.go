package config

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"strings"

	hcl1json "github.com/hashicorp/hcl/json/parser"
	"github.com/hashicorp/hcl/json/scanner"
	json1 "github.com/hashicorp/hcl/json/token"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"

	"github.com/hashicorp/hcl/hcl/ast"
)

var jsonTokens = map[json1.Type]tokenKind{
	json1.STRING: tokString, json1.COLON: tokPunct, json1.COMMA: tokPunct,
	json1.LBRACE: tokOpen, json1.LBRACK: tokOpen, json1.RBRACE: tokClose, json1.RBRACK: tokClose,
}

// outlineOfJSON returns the outline of src by the lexer that HCL 1 has for
// JSON. The dialect is decided by the keys of the outermost object.
func outlineOfJSON(src []byte, r *reporter) (o *outline) {
	o = newOutline(src, r)
	s := scanner.New(src)
	s.Error = func(json1.Pos, string) {} // the parser says it
	var last span
	defer func() {
		if p := recover(); p != nil { // the library panics at an escape that the file ends in
			o.wrong(span{len(src) - 1, len(src)}, "end it with a double quote", "the string is never closed")
			o.add(tokString, span{last.end, len(src)})
			o.full = true
			o.end()
		}
	}()
	for t := s.Scan(); t.Type != json1.EOF && !o.full; t = s.Scan() {
		sp := span{t.Pos.Offset, t.Pos.Offset + len(t.Text)}
		if t.Type == json1.COLON && len(o.open) == 1 {
			o.native(bytes.Trim(src[last.start:last.end], `"`))
		}
		o.add(jsonTokens[t.Type], sp)
		last = sp
	}
	return o.end()
}

// readJSON returns the items of a JSON document, read by HCL 2, which has ranges.
// What only HCL 1's reader of JSON accepts in a file of spiffe-helper's, such as a
// trailing comma, is read by that one, which has none.
func readJSON(o *outline) (items []*item) {
	if o.full {
		return nil
	}
	e, diags := json.ParseExpression(o.src, o.file)
	if !diags.HasErrors() {
		return (&jsonReader{o.reporter, o.dialect}).value(e).items
	}
	report := o.errorf
	if o.dialect == SpiffeHelper {
		if f, err := hcl1json.Parse(o.src); err == nil {
			items, report = (&hcl1Reader{reporter: o.reporter}).items(f.Node.(*ast.ObjectList)), o.warnf
		}
	}
	first := diags[0] // what follows is hardly ever news
	hint := map[string]string{"Invalid JSON string": `JSON knows \" \\ \/ \b \f \n \r \t and \uXXXX`}[first.Summary]
	at, wrong := spanOf(*first.Subject), (*stdjson.SyntaxError)(nil)
	if errors.As(stdjson.Unmarshal(o.src, new(any)), &wrong) && int(wrong.Offset) <= at.start { // HCL 2 may look for an end before it says where
		at = span{int(wrong.Offset) - 1, int(wrong.Offset)}
	}
	report(at, hint, "this is not JSON: %s", lowerFirst(strings.TrimSuffix(first.Detail, ".")))
	return items
}

// A jsonReader turns what HCL 2 made of a JSON document into nodes.
type jsonReader struct {
	*reporter
	dialect Dialect
}

func (r *jsonReader) value(e hcl.Expression) *node {
	n := &node{span: spanOf(e.Range())}
	raw := r.src[n.start:n.end]
	switch raw[0] {
	case '{':
		n.kind = nodeObject
		pairs, _ := hcl.ExprMap(e)
		for _, p := range pairs {
			key := spanOf(p.Key.Range())
			n.items = append(n.items, &item{key: r.unquote(key), at: key, value: r.value(p.Value)})
		}
	case '[':
		n.kind = nodeList
		elems, _ := hcl.ExprList(e)
		for _, elem := range elems {
			n.elems = append(n.elems, r.value(elem))
		}
	case '"':
		n.kind, n.text = nodeString, r.unquote(n.span)
		if r.dialect == Native && (strings.Contains(n.text, "${") || strings.Contains(n.text, "%{")) {
			r.template(n)
		}
	case 'n':
		n.kind = nodeNull
	case 't', 'f':
		n.kind, n.text = nodeBool, string(raw)
	default:
		n.kind, n.text = nodeNumber, string(raw)
	}
	return n
}

func (r *jsonReader) unquote(sp span) (text string) {
	_ = stdjson.Unmarshal(r.src[sp.start:sp.end], &text) // it was valid
	return r.checkText(sp, text)
}

// template evaluates the string of a native file.
func (r *jsonReader) template(n *node) {
	inner := &reporter{file: r.file, src: []byte(n.text)}
	tokens, _ := hclsyntax.LexTemplate(inner.src, r.file, hcl.Pos{Line: 1, Column: 1})
	o := &outline{reporter: inner}
	o.addHCL2(tokens)
	if o.end(); !inner.failed {
		e, diags := hclsyntax.ParseTemplate(inner.src, r.file, hcl.Pos{Line: 1, Column: 1})
		if diags.HasErrors() {
			inner.errorf(span{0, 0}, "a literal ${ is written $${", "%s", lowerFirst(diags[0].Detail))
		} else if v, ok := evaluate(inner, e); ok {
			n.expr = template(inner.src, e)
			n.text = asText(v)
		}
	}
	for _, f := range inner.found { // the places within the string are lost
		r.errorf(n.span, f.Hint, "%s", f.Message)
		n.kind = nodeBroken
	}
}

// template returns a template as a string of HCL 2.
func template(src []byte, e hclsyntax.Expression) string {
	parts := []hclsyntax.Expression{e}
	if t, ok := e.(*hclsyntax.TemplateExpr); ok {
		parts = t.Parts
	}
	text := ""
	for _, p := range parts {
		sp := spanOf(p.Range())
		switch p := p.(type) {
		case *hclsyntax.LiteralValueExpr:
			literal := quote(asText(p.Val))
			text += literal[1 : len(literal)-1]
		default:
			if w, ok := p.(*hclsyntax.TemplateWrapExpr); ok {
				sp = spanOf(w.Wrapped.Range())
			}
			text += "${" + string(src[sp.start:sp.end]) + "}"
		}
	}
	return `"` + text + `"`
}
