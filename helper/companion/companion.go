// Package companion renders the file that a service wants beside its certificate,
// from a text/template of the user's.
//
// It promises that a template which cannot be is refused when it is parsed, with its
// line; that a rendering ends, in bounded memory, whatever loops the template has; and that to name a field which is missing is an error. (The function index is
// how a template asks for what may be missing.)
// Which secrets a template can print is known before it is rendered: it prints one
// by calling a function, and there is no other way to name one.
//
// It quotes nothing by itself: only the user knows what the file is. There are
// functions for that.
package companion

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

const (
	// MaxText is the longest template there may be, in bytes.
	MaxText = 256 << 10
	// maxSize is the longest file that one makes.
	maxSize = 1 << 20
	// maxSteps is how often a template may begin a part: a turn of a loop, or a
	// template within. text/template counts as far as it is told to.
	maxSteps = 100_000
)

// A Template is one that was parsed. It can be rendered by several goroutines.
type Template struct {
	root   *template.Template
	calls  []string // functions
	fields []string
}

// Functions are those of a template beside the quoting ones, by name.
type Functions map[string]any

// Parse parses a template. name stands in errors, with the line. functions say which
// there are; Render gives those that are called.
func Parse(name, text string, functions Functions) (*Template, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("%s: a template is at most %d bytes long", name, MaxText)
	}
	t := &Template{root: template.New(name).Option("missingkey=error").Funcs(quoting(nil)).Funcs(template.FuncMap(functions)).Funcs(template.FuncMap{step: func() (string, error) { return "", nil }})}
	if _, err := t.root.Parse(text); err != nil {
		return nil, t.plain(err)
	}
	for _, part := range t.root.Templates() {
		if part.Tree != nil && part.Root != nil {
			t.note(part.Root)
			countSteps(part.Root)
		}
	}
	return t, nil
}

// Calls reports whether the template calls the function, somewhere.
func (t *Template) Calls(name string) bool { return slices.Contains(t.calls, name) }

// Names reports whether the template looks up a field of that name, somewhere.
func (t *Template) Names(field string) bool { return slices.Contains(t.fields, field) }

// Render renders the template. An error says in which line it came up.
func (t *Template) Render(data map[string]any, functions Functions) ([]byte, error) {
	steps := 0
	counted := template.FuncMap{step: func() (string, error) {
		if steps++; steps > maxSteps {
			return "", errSteps
		}
		return "", nil
	}}
	run, err := t.root.Clone()
	if err != nil {
		return nil, t.plain(err)
	}
	var out limited
	left := budget(maxMade)
	err = run.Funcs(left.functions()).Funcs(quoting(&left)).Funcs(template.FuncMap(functions)).Funcs(counted).Execute(&out, data)
	switch {
	case errors.Is(err, errSteps):
		return nil, fmt.Errorf("%s: %w", t.root.Name(), errSteps)
	case errors.Is(err, errSize):
		return nil, fmt.Errorf("%s: %w", t.root.Name(), errSize)
	case err != nil:
		return nil, t.plain(err)
	}
	return out.Bytes(), nil
}

var (
	errSteps = fmt.Errorf("it takes more than %d steps: is there a loop without an end?", maxSteps)
	errSize  = fmt.Errorf("it makes more than %d bytes", maxSize)
)

// limited is a buffer with a bound.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxSize {
		return 0, errSize
	}
	return l.Buffer.Write(p)
}

// IsMissing reports whether an error of Render is that the data lack a key.
func IsMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "map has no entry for key")
}

// IsTooMuch reports whether an error of Render is that a bound is passed.
func IsTooMuch(err error) bool { return errors.Is(err, errSteps) || errors.Is(err, errSize) }

// plain is an error of text/template without what says twice which template it is.
func (t *Template) plain(err error) error {
	said := strings.TrimPrefix(err.Error(), "template: ")
	return errors.New(strings.Replace(said, fmt.Sprintf(" executing %q at", t.root.Name()), "", 1))
}

// step is the name of the function that counts. No template needs it.
const step = "__step"

// countSteps has each part that can be repeated begin with a call of step.
func countSteps(list *parse.ListNode) {
	trees, err := parse.Parse(step, "{{"+step+"}}", "", "", map[string]any{step: true})
	if err != nil {
		panic(err) // it is a constant
	}
	call := trees[step].Root.Nodes[0]
	begin := func(l *parse.ListNode) { l.Nodes = slices.Insert(l.Nodes, 0, call.Copy()) }
	begin(list)
	visit(list, func(n parse.Node) {
		if loop, is := n.(*parse.RangeNode); is {
			begin(loop.List)
		}
	})
}

// note notes what a tree uses.
func (t *Template) note(list *parse.ListNode) {
	visit(list, func(n parse.Node) {
		switch n := n.(type) {
		case *parse.IdentifierNode:
			t.calls = append(t.calls, n.Ident)
		case *parse.FieldNode:
			t.fields = append(t.fields, n.Ident...)
		case *parse.ChainNode:
			t.fields = append(t.fields, n.Field...)
		case *parse.VariableNode:
			t.fields = append(t.fields, n.Ident[1:]...)
		}
	})
}

// visit calls f with each node of a tree, but for nil ones.
func visit(n parse.Node, f func(parse.Node)) {
	branch := func(b *parse.BranchNode) {
		visit(b.Pipe, f)
		visit(b.List, f)
		if b.ElseList != nil {
			visit(b.ElseList, f)
		}
	}
	f(n)
	switch n := n.(type) {
	case *parse.ListNode:
		for _, sub := range n.Nodes {
			visit(sub, f)
		}
	case *parse.ActionNode:
		visit(n.Pipe, f)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			visit(n.Pipe, f)
		}
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			visit(c, f)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			visit(arg, f)
		}
	case *parse.ChainNode:
		visit(n.Node, f)
	}
}
