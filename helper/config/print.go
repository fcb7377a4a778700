package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Print returns the configuration in the native dialect, with a comment on each
// key. Parse reads it back as the same Config. A value that came from the
// environment is printed as it was written, by the variable's name.
func Print(c *Config) []byte {
	p := &printer{written: c.written}
	if p.written == nil {
		p.written = map[string]string{}
	}
	p.fields(nativeFields(c))
	p.flush()
	return bytes.TrimLeft(p.out.Bytes(), "\n")
}

// printer writes keys and comments aligned, and blocks set apart.
type printer struct {
	out    bytes.Buffer
	lines  []printedLine // since the last block
	indent string
	opened bool // a block has just begun
	// written is Config.written.
	written map[string]string
}

type printedLine struct{ key, literal, doc string }

// longLiteral is the width from which on a comment stands above its line.
const longLiteral = 44

func (p *printer) fields(fields []field) {
	for _, f := range fields {
		f.value.print(p, f)
	}
}

// line writes one key.
func (p *printer) line(key, literal, doc string) {
	if written, ok := p.written[key+" = "+literal]; ok {
		literal = written
	}
	p.lines = append(p.lines, printedLine{key, literal, doc})
}

// block writes one block, after an empty line and a comment, unless that is
// empty.
func (p *printer) block(doc string, b *block) {
	p.flush()
	if !p.opened {
		p.out.WriteByte('\n')
	}
	if doc != "" {
		fmt.Fprintf(&p.out, "%s# %s\n", p.indent, doc)
	}
	header := b.name
	if b.label != nil {
		header += " " + quote(*b.label)
	}
	fmt.Fprintf(&p.out, "%s%s {\n", p.indent, header)
	p.opened = true
	p.indent += "  "
	p.fields(b.fields)
	p.flush()
	p.indent = p.indent[2:]
	p.opened = false
	fmt.Fprintf(&p.out, "%s}\n", p.indent)
}

// flush writes the lines since the last block.
func (p *printer) flush() {
	keys, literals := 0, 0
	for _, l := range p.lines {
		keys = max(keys, len(l.key))
		if n := utf8.RuneCountInString(l.literal); n <= longLiteral {
			literals = max(literals, n)
		}
	}
	for _, l := range p.lines {
		p.opened = false
		if utf8.RuneCountInString(l.literal) > longLiteral {
			fmt.Fprintf(&p.out, "%s# %s\n%s%-*s = %s\n", p.indent, l.doc, p.indent, keys, l.key, l.literal)
			continue
		}
		fmt.Fprintf(&p.out, "%s%-*s = %-*s # %s\n", p.indent, keys, l.key, literals, l.literal, l.doc)
	}
	p.lines = nil
}
