package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
	"github.com/hashicorp/hcl/hcl/scanner"
	hcl1 "github.com/hashicorp/hcl/hcl/token"
)

// longMarker is a heredoc whose marker is long: HCL 1 makes a regular expression
// of it.
var longMarker = lazy(`<<+-?[\pL_\pN]{200}`)

var hcl1Tokens = map[hcl1.Type]tokenKind{
	hcl1.IDENT: tokWord, hcl1.STRING: tokString, hcl1.ASSIGN: tokPunct, hcl1.COMMA: tokPunct,
	hcl1.LBRACE: tokOpen, hcl1.LBRACK: tokOpen, hcl1.RBRACE: tokClose, hcl1.RBRACK: tokClose,
}

// outlineOfHCL1 returns the outline of src by the lexer of HCL 1, up to the first
// block of ours.
func outlineOfHCL1(src []byte, r *reporter) *outline {
	o := newOutline(src, r)
	if heredocs := bytes.Count(src, []byte("<<")); heredocs > maxHeredocs || heredocs > 0 && longMarker().Match(src) {
		o.wrong(span{0, 0}, "", "the file has more than %d heredocs, or one with a marker of 200 characters or more", maxHeredocs)
		o.full = true
	}
	said := ""
	s := scanner.New(src)
	s.Error = func(_ hcl1.Pos, message string) { said = message }
	for !o.full && !o.reporter.full() && o.dialect == SpiffeHelper {
		t := s.Scan()
		sp := span{t.Pos.Offset, t.Pos.Offset + len(strings.TrimRight(t.Text, "\n"))}
		o.unclosed(said, sp)
		said = ""
		if t.Type == hcl1.EOF {
			if n := len(o.tokens); n > 1 && o.is(o.tokens[n-1], "=") {
				o.warnf(o.tokens[n-2].span, "give it a value or leave it out", "%s has no value", o.show(o.tokens[n-2].span))
			}
			break
		}
		if t.Type != hcl1.COMMENT {
			o.add(hcl1Tokens[t.Type], sp)
		}
	}
	return o.end()
}

// unclosed reports the errors of the lexer that are about the end of something.
// The others are left to the parser.
func (o *outline) unclosed(message string, sp span) {
	line, _, _ := strings.Cut(string(o.src[sp.start:sp.end]), "\n")
	switch begin := (span{sp.start, sp.start + len(line)}); message {
	case "literal not terminated":
		hint := "end it with a double quote on its line"
		if strings.Contains(line, "${") {
			hint = `"${" needs its "}" within the string; a lone one is written \u0024{`
		}
		o.wrong(begin, hint, "the string is never closed")
	case "heredoc not terminated":
		o.wrong(begin, "end it with a line that holds "+strings.Trim(line, "<- "), "the heredoc is never closed")
	case "comment not terminated":
		o.wrong(span{sp.start, sp.start + 2}, "end it with */", "the comment is never closed")
	}
}

// readHCL1 returns the items of a file of spiffe-helper's, as the parser of
// that program reads it.
func readHCL1(o *outline) []*item {
	if o.full {
		return nil
	}
	list, failure := parseHCL1(o.src)
	if failure == nil && len(o.reported) == 0 {
		return (&hcl1Reader{reporter: o.reporter}).items(list)
	}
	failed := o.failed
	items := o.salvage(func(c span) []*item {
		list, err := parseHCL1(o.src[c.start:c.end])
		if err == nil && len(list.Items) > 0 {
			return (&hcl1Reader{o.reporter, c.start}).items(list)
		}
		if err == nil { // an equals sign is all that it ends with
			return o.explain(c, c.end, "", "")
		}
		failed = true
		at, message := reasonOfHCL1(err)
		return o.explain(c, c.start+at, "", message)
	})
	if !failed {
		_, message := reasonOfHCL1(failure)
		o.errorf(span{0, 0}, "", "the file cannot be read: %s", message)
	}
	return items
}

// parseHCL1 calls the parser of HCL 1, as spiffe-helper does.
func parseHCL1(src []byte) (*ast.ObjectList, error) {
	f, err := parser.ParseDontErrorOnDuplicateKeys(src)
	if err != nil {
		return nil, err
	}
	return f.Node.(*ast.ObjectList), nil
}

// reasonOfHCL1 is an error of HCL 1, and its place if it has one.
func reasonOfHCL1(err error) (at int, message string) {
	if err, ok := err.(*parser.PosError); ok {
		return err.Pos.Offset, err.Err.Error()
	}
	return 0, err.Error()
}

// An hcl1Reader turns what HCL 1 made of a part of the file into nodes.
type hcl1Reader struct {
	*reporter
	offset int // of the part
}

// at returns the place of n bytes.
func (r *hcl1Reader) at(pos hcl1.Pos, n int) span {
	if !pos.IsValid() { // its JSON has no positions
		return noSpan
	}
	return span{r.offset + pos.Offset, r.offset + pos.Offset + n}
}

func (r *hcl1Reader) span(t hcl1.Token) span {
	return r.at(t.Pos, len(strings.TrimRight(t.Text, "\n")))
}

func (r *hcl1Reader) items(list *ast.ObjectList) (items []*item) {
	for _, i := range list.Items {
		it := &item{at: r.span(i.Keys[0].Token), key: r.text(i.Keys[0].Token)}
		for _, k := range i.Keys[1:] {
			it.labels = append(it.labels, label{r.span(k.Token), r.text(k.Token)})
		}
		it.value = r.value(i.Val)
		items = append(items, it)
	}
	return items
}

func (r *hcl1Reader) value(n ast.Node) *node {
	switch n := n.(type) {
	case *ast.ObjectType:
		return &node{kind: nodeObject, span: r.at(n.Lbrace, n.Rbrace.Offset-n.Lbrace.Offset+1), items: r.items(n.List)}
	case *ast.ListType:
		list := &node{kind: nodeList, span: r.at(n.Lbrack, n.Rbrack.Offset-n.Lbrack.Offset+1)}
		for _, e := range n.List {
			list.elems = append(list.elems, r.value(e))
		}
		return list
	case *ast.LiteralType:
		return &node{kind: hcl1Kinds[n.Token.Type], span: r.span(n.Token), text: r.text(n.Token)}
	}
	return &node{kind: nodeNull, span: noSpan} // JSON's null
}

var hcl1Kinds = map[hcl1.Type]nodeKind{
	hcl1.STRING: nodeString, hcl1.HEREDOC: nodeString, hcl1.NUMBER: nodeNumber, hcl1.FLOAT: nodeNumber, hcl1.BOOL: nodeBool,
}

// text returns what a token of a key or a scalar means. Numbers are as written.
func (r *hcl1Reader) text(t hcl1.Token) (text string) {
	if t.Type != hcl1.STRING && t.Type != hcl1.HEREDOC {
		return t.Text
	}
	defer func() { // the library panics on an escape that its lexer let pass
		if p := recover(); p != nil {
			r.errorf(r.span(t), `a backslash itself is written \\`, "the string has an invalid escape")
		}
	}()
	return r.checkText(r.span(t), fmt.Sprint(t.Value()))
}

// checkText refuses what no path, argument or audience can hold.
func (r *reporter) checkText(sp span, text string) string {
	if strings.ToValidUTF8(text, "") != text || strings.Contains(text, "\x00") {
		r.errorf(sp, "", "the string has a zero byte, or is not valid UTF-8")
	}
	return text
}
