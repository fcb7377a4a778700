package config

import (
	"strings"

	"github.com/svidhelper/svidhelper/helper/proof"
)

// A block is one kind of block: its keys, and the rules that span them. There
// is one table a kind, in native.go, output.go, process.go, hook.go, proof.go and
// dropin.go; it drives reading, errors, suggestions, documentation and printing.
type block struct {
	// name is what the block is called in messages: "process".
	name string
	// label is the block's label, for blocks that have one: output "/run/tls".
	label                   *string
	labelWant, labelExample string // "a directory", "/run/tls"

	fields []field
	// check applies the rules that span keys, after they have been read.
	check func(d *decoder, at places)
}

// A field is one key of a block.
type field struct {
	key   string
	doc   string // one line, without a full stop
	value value
	// needed, unless empty, says that the block is of no use without the key, by
	// an example of how it is written.
	needed string
	// flat marks a key of the drop-in dialect: its case does not matter, and
	// when it is given twice the last one wins.
	flat bool
}

// A value reads what stands behind a key into the place it was made for, and
// prints it.
type value interface {
	read(d *decoder, it *item)
	// print writes the key unless the value is the default.
	print(p *printer, f field)
	// schema is its form in JSON.
	schema() schema
}

// places are where the keys of a block stand.
type places struct {
	block span // its label, or else its name
	keys  map[string]span
	// odd says that there are keys that are not known, so that another
	// may only seem to be missing.
	odd bool
}

// has reports whether the file has the key.
func (p places) has(key string) bool {
	_, ok := p.keys[key]
	return ok
}

// lacks reports whether the key is missing, and not only misspelled.
func (p places) lacks(key string) bool { return !p.has(key) && !p.odd }

// of returns the place of the first of the keys that the file has, or else that
// of the block.
func (p places) of(keys ...string) span {
	for _, key := range keys {
		if sp, ok := p.keys[key]; ok {
			return sp
		}
	}
	return p.block
}

// decoder reads a tree into the places that tables name.
type decoder struct {
	*reporter
	goos   string
	key    string      // the key being read, for messages
	flat   bool        // it is spiffe-helper's
	counts bool        // it is not given once more, by a flat key of which the last one wins
	files  []namedFile // of the output being read
	layout string      // of the output being read
	// templates are the blocks of it; open reads their files, unless it is nil.
	templates []places
	open      func(path string) ([]byte, error)
	idle      bool            // there is a process, and it lacks a command
	untold    bool            // there is a process, and it lacks on_rotation
	taken     map[string]span // directories and names of hooks, which must differ
	proofs    map[*proof.Config]places
	// written is Config.written.
	written map[string]string
}

// complain reports an error about the value of the key being read.
func (d *decoder) complain(n *node, hint, format string, args ...any) {
	d.errorf(n.span, hint, d.key+": "+format, args...)
}

// read reads an object by its table.
func (d *decoder) read(object *node, at span, b *block) {
	where := places{block: at, keys: map[string]span{}}
	last := map[*field]*item{}
	items := d.complete(object, b)
	for _, it := range items {
		last[b.field(it.key)] = it
	}
	for _, it := range items {
		if it.value.kind == nodeNull {
			continue // JSON's way not to give a key
		}
		f := b.field(it.key)
		if f == nil {
			where.odd = true
			d.unknown(it, b)
			continue
		}
		_, repeats := f.value.(interface{ repeats() })
		if first, twice := where.keys[f.key]; twice && !f.flat && !repeats {
			d.errorf(it.at, "keep one of them", "%s is given twice, first in line %d", f.key, d.line(first))
			continue
		}
		where.keys[f.key] = it.at
		if it.value.kind == nodeBroken {
			where.odd = true
			continue
		}
		d.key, d.flat, d.counts = f.key, f.flat, last[f] == it
		f.value.read(d, it)
		if _, block := f.value.(interface{ blank() *block }); !block && it.value.fromEnvironment() {
			d.note(f, it.value)
		}
	}
	for _, f := range b.fields {
		if f.needed != "" && where.lacks(f.key) {
			d.errorf(at, "write "+f.needed, "%s needs %s", b.name, f.key)
		}
	}
	if b.check != nil {
		b.check(d, where)
	}
}

// note remembers how a value was written that the environment has part in, so
// that it is printed by the variable's name.
func (d *decoder) note(f *field, n *node) {
	p := &printer{}
	f.value.print(p, *f)
	for _, l := range p.lines {
		d.written[l.key+" = "+l.literal] = n.written()
	}
}

// take notes what must be there only once, and complains if it already is.
func (d *decoder) take(kind, name string, at span) {
	key := kind + " " + name
	if first, twice := d.taken[key]; twice {
		d.errorf(at, "keep one of them, or put them together", "%s is there twice, first in line %d", kind+" "+quote(name), d.line(first))
		return
	}
	d.taken[key] = at
}

// only refuses keys that the operating system has nothing for.
func (d *decoder) only(at places, keys []string, works bool, hint string) {
	for _, key := range keys {
		if at.has(key) && !works {
			d.errorf(at.of(key), hint, "%s does not work on this operating system", key)
		}
	}
}

func (b *block) field(key string) *field {
	for i, f := range b.fields {
		if f.key == key || f.flat && strings.EqualFold(f.key, key) {
			return &b.fields[i]
		}
	}
	return nil
}

// unknown reports a key that the block does not have.
func (d *decoder) unknown(it *item, b *block) {
	where := ""
	if b.name != "" {
		where = " in " + b.name
	}
	if !d.full() { // a suggestion costs something
		d.errorf(it.at, suggest(it.key, b), "unknown key %q%s", it.key, where)
	}
}

// An instance is one block of a kind: its label, if it has one, and what stands
// between its braces.
type instance struct {
	label  label
	at     span
	object *node
}

// instances returns the blocks that an item holds. In JSON, and in an
// assignment, a list holds several and labels are keys:
//
//	hook "a" { }    hook = { "a" = { } }    "hook": [{"a": {}}]
func (d *decoder) instances(it *item, b *block) []instance {
	if it.value.kind == nodeList {
		var all []instance
		for _, elem := range it.value.elems {
			all = append(all, d.instances(&item{key: it.key, at: elem.span, value: elem}, b)...)
		}
		return all
	}
	if it.value.kind != nodeObject {
		d.complain(it.value, "write "+b.example(), "this is a block, not %s", it.value.describe())
		return nil
	}
	if b.label == nil {
		if len(it.labels) > 0 {
			d.errorf(it.labels[0].span, "write "+b.example(), "%s has no label", it.key)
		}
		return []instance{{at: it.at, object: it.value}}
	}
	switch len(it.labels) {
	case 1:
		return []instance{{it.labels[0], it.at, it.value}}
	case 0:
		return d.labelled(it, b)
	}
	d.errorf(it.labels[1].span, "write "+b.example(), "%s has one label, %s", it.key, b.labelWant)
	return nil
}

// labelled returns the blocks of an object whose keys are the labels.
func (d *decoder) labelled(it *item, b *block) []instance {
	var all []instance
	for _, sub := range it.value.items {
		if sub.value.kind != nodeObject || b.field(sub.key) != nil { // it is a block without a label
			all = nil
			break
		}
		all = append(all, instance{label{sub.at, sub.key}, sub.at, sub.value})
	}
	if all == nil {
		d.errorf(it.at, "write "+b.example(), "%s needs %s as its label", it.key, b.labelWant)
	}
	return all
}

// example shows how a block is written.
func (b *block) example() string {
	if b.label != nil {
		return b.name + ` "` + b.labelExample + `" { … }`
	}
	return b.name + " { … }"
}

// one is a block that is given at most once: *dst stays nil until it is. One of
// spiffe-helper's may be given in parts.
type one[T any] struct {
	dst   **T
	table func(*T) *block
}

func (v one[T]) read(d *decoder, it *item) {
	dst, parts := *v.dst, d.flat
	if dst == nil {
		dst = new(T)
	}
	b := v.table(dst)
	for i, in := range d.instances(it, b) {
		if i > 0 && !parts {
			d.errorf(in.at, "keep one of them", "%s is given twice", it.key)
			return
		}
		*v.dst = dst
		d.read(in.object, in.at, b)
	}
}

func (v one[T]) print(p *printer, f field) {
	if *v.dst != nil {
		p.block(f.doc, v.table(*v.dst))
	}
}

// many is a block that may be given again and again.
type many[T any] struct {
	dst   *[]T
	table func(*T) *block
}

func (v many[T]) read(d *decoder, it *item) {
	if d.flat && it.value.kind == nodeObject && len(it.value.items) == 0 {
		return // HCL 1's other way to write an empty list
	}
	var dst T
	b := v.table(&dst)
	for _, in := range d.instances(it, b) {
		dst = *new(T)
		if b.label != nil {
			*b.label = in.label.text
			in.at = in.label.span
		}
		d.read(in.object, in.at, b)
		*v.dst = append(*v.dst, dst)
	}
}

func (v many[T]) print(p *printer, f field) {
	for i := range *v.dst {
		p.block(f.doc, v.table(&(*v.dst)[i]))
		f.doc = "" // once is enough
	}
}

// These say which keys are blocks, and which of those are given more than once.
func (v one[T]) blank() *block  { return v.table(new(T)) }
func (v many[T]) blank() *block { return v.table(new(T)) }

func (many[T]) repeats() {}
