package config

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"
)

// Print returns the configuration in the native dialect, with a comment on each
// key. Parse reads it back as the same Config.
func Print(c *Config) []byte {
	p := &printer{}
	p.fields(nativeFields(c))
	p.flush()
	return bytes.TrimLeft(p.out.Bytes(), "\n")
}

// printer writes keys aligned, comments too, and blocks set apart.
type printer struct {
	out    bytes.Buffer
	lines  []string // key, value and comment, tab-separated, not yet aligned
	indent string
}

func (p *printer) fields(fields []field) {
	for _, f := range fields {
		f.value.print(p, f)
	}
}

// line writes one key.
func (p *printer) line(key, literal, doc string) {
	p.lines = append(p.lines, fmt.Sprintf("%s%s\t= %s\t# %s", p.indent, key, literal, doc))
}

// block writes one block, after an empty line and its comment.
func (p *printer) block(doc string, b *block) {
	p.flush()
	header := b.name
	if b.label != nil {
		header += " " + quote(*b.label)
	}
	p.out.WriteByte('\n')
	if doc != "" {
		fmt.Fprintf(&p.out, "%s# %s\n", p.indent, doc)
	}
	fmt.Fprintf(&p.out, "%s%s {\n", p.indent, header)
	opened := p.out.Len()
	p.indent += "  "
	p.fields(b.fields)
	p.flush()
	p.indent = p.indent[2:]
	if body := p.out.Bytes()[opened:]; bytes.HasPrefix(body, []byte("\n")) { // no empty line after the brace
		p.out.Truncate(opened + copy(body, body[1:]))
	}
	fmt.Fprintf(&p.out, "%s}\n", p.indent)
}

// flush aligns the lines since the last block.
func (p *printer) flush() {
	t := tabwriter.NewWriter(&p.out, 0, 0, 1, ' ', 0)
	for _, line := range p.lines {
		fmt.Fprintln(t, strings.TrimRight(line, " "))
	}
	t.Flush()
	p.lines = nil
}
