package encode

import (
	"cmp"
	"fmt"

	"github.com/svidhelper/svidhelper/helper/companion"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Template makes a file, with Go's text/template, of what is in the others: the
// file that a service wants beside its certificate. It is rendered with every
// publish, in the same set.
type Template struct {
	File FileSpec
	// From names the file that Text was read from; empty: it stands in the
	// configuration.
	From string `json:"-"`
	Text string
	// Kind is what a change of the file is a change of, and Private says that it can
	// hold a key or a token. Compile finds both out.
	Kind    snapshot.Kind
	Private bool
}

// BlockTemplate is the block of a Template. No profile answers it, so that it is
// none of the Selections.
const BlockTemplate Block = "template"

// The functions that print a secret. A template that calls one of them, anywhere,
// makes a private file: what it prints this time does not matter.
var secretFunctions = []string{"key", "token"}

// Compile finds out whether the template of an output can be: it parses it, and
// looks for values that this output never has, and for a loop without an end. An error
// has the template's line.
func (t *Template) Compile(o *Output) error {
	parsed, err := t.parse()
	if err != nil {
		return err
	}
	t.Private = false
	for _, name := range secretFunctions {
		t.Private = t.Private || parsed.Calls(name)
	}
	t.Kind = kindsOf(parsed, o)
	if parsed.Names("claims") {
		return nil // only a token tells
	}
	if _, err := parsed.Render(sampleData(o), declared); companion.IsMissing(err) || companion.IsTooMuch(err) {
		return err
	}
	return nil
}

func (t *Template) parse() (*companion.Template, error) {
	return companion.Parse(cmp.Or(t.From, t.File.Name), t.Text, declared)
}

// kindsOf are the kinds of material that a template names; all if it names none.
func kindsOf(t *companion.Template, o *Output) snapshot.Kind {
	kinds := snapshot.KindNone
	for _, n := range []struct {
		field string
		kind  snapshot.Kind
	}{
		{"x509_svid", snapshot.KindX509}, {"jwt_svid", snapshot.KindJWT}, {"wit_svid", snapshot.KindWIT},
		{"identities", o.Kinds()}, {"files", o.Kinds()},
	} {
		if t.Names(n.field) {
			kinds |= n.kind
		}
	}
	if t.Calls("bundle") {
		kinds |= snapshot.KindBundle
	}
	return cmp.Or(kinds, o.Kinds())
}

// templates adds the files of the templates, once everything else is in the set.
func (r *encoding) templates(s *snapshot.Snapshot) {
	if len(r.output.Templates) == 0 {
		return
	}
	m := &view{r.output, r.set.Identities, s}
	data, functions := m.data(r.set), m.functions()
	incomplete := len(r.set.Gaps) > 0
	for i := range r.output.Templates {
		t := &r.output.Templates[i]
		parsed, err := r.compiled(i)
		var out []byte
		if err == nil {
			out, err = parsed.Render(data, functions)
		}
		if err == nil {
			err = r.add(t.File, t.Kind, t.Private, out)
		}
		if err == nil {
			continue
		}
		g := Gap{Selection: Selection{BlockTemplate, i}, Kind: t.Kind, Err: err}
		g.What = r.output.Describe(g.Selection)
		if incomplete && companion.IsMissing(err) {
			g.Err = nil // it waits, as what it asks for does
		}
		if len(r.dropped) == 0 { // what left may be in the file
			g.Files = []FileSpec{t.File}
		}
		r.set.Gaps = append(r.set.Gaps, g)
	}
}

// compiled returns a template, parsed once.
func (e *Encoder) compiled(i int) (*companion.Template, error) {
	if e.parsed == nil {
		e.parsed = make([]*companion.Template, len(e.output.Templates))
	}
	if e.parsed[i] == nil {
		parsed, err := e.output.Templates[i].parse()
		if err != nil {
			return nil, fmt.Errorf("parsing it: %w", err)
		}
		e.parsed[i] = parsed
	}
	return e.parsed[i], nil
}
