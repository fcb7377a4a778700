package config

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/writer"
)

// mode is a file mode. Integers follow base 0 of Go, as do strings, so that
// 0444 is octal, and 444 is decimal, which is hardly ever meant. Bits beyond
// the permissions are an error, but were ignored by the flat keys.
func mode(dst *fs.FileMode) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			v, err := strconv.ParseInt(n.text, 0, 64)
			switch {
			case n.kind != nodeNumber && n.kind != nodeString || err != nil:
				d.complain(n, "write "+d.key+" = "+octalOf(n.text), "want a mode in octal")
			case v < 0 && d.counts:
				d.complain(n, "", "a mode cannot be negative")
			case v > 0o777 && !d.flat:
				d.complain(n, "write "+octalOf(n.text), "%s is not a mode", n.text)
			default:
				*dst = fs.FileMode(v & 0o777)
				if d.counts {
					d.warnDecimal(n, *dst)
				}
			}
		},
		literal: unlessZero(dst, func(m fs.FileMode) string { return quote(fmt.Sprintf("%04o", m)) }),
	}
}

// octalOf returns the mode that text was probably meant to be.
func octalOf(text string) string {
	if v, err := strconv.ParseUint(text, 8, 32); err == nil && 0 < v && v <= 0o777 {
		return fmt.Sprintf("%04o", v)
	}
	return "0644"
}

// usualModes are those whose decimal form has been computed: JSON has no
// octal numbers.
var usualModes = []fs.FileMode{0o400, 0o440, 0o444, 0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o700, 0o750, 0o755}

func (d *decoder) warnDecimal(n *node, m fs.FileMode) {
	if n.text[0] == '0' || slices.Contains(usualModes, m) {
		return
	}
	hint := fmt.Sprintf("write %04o if it is what you mean", m)
	if v, err := strconv.ParseUint(n.text, 8, 32); err == nil && v <= 0o777 {
		hint = fmt.Sprintf("did you mean %04o?", v)
	}
	d.warnf(n.span, hint, "%s: %s is decimal, mode %04o", d.key, n.text, m)
}

// A namedFile is a file of the output being read, for the rules that span
// files.
type namedFile struct {
	encode.FileSpec
	key    string
	at     span
	secret bool // a private key or a token is in it
}

// file is a file of an output: its name, or a block with name, mode and owner. may
// are the placeholders that mean something in the name.
func file(dst *encode.FileSpec, secret bool, may ...encode.Placeholder) value {
	return fileValue{dst, secret, may}
}

type fileValue struct {
	dst    *encode.FileSpec
	secret bool
	may    []encode.Placeholder
}

func (v fileValue) table() *block {
	return &block{name: "file", fields: []field{
		{key: "file", doc: "name", value: fileName(&v.dst.Name)},
		{key: "mode", doc: "instead of the output's", value: mode(&v.dst.Mode)},
		{key: "owner", doc: "name or number", value: text(&v.dst.Owner)},
		{key: "group", doc: "name or number", value: text(&v.dst.Group)},
		{key: "literal", doc: "braces in the name stand for themselves", value: boolean(&v.dst.Literal, true)},
	}}
}

func (v fileValue) read(d *decoder, it *item) {
	at := it.value.span
	if it.value.kind == nodeObject {
		key := it.key
		d.read(it.value, it.at, v.table())
		if d.key = key; v.dst.Name == "" {
			d.errorf(it.at, fmt.Sprintf("write %s = { file = \"…\", mode = \"0640\" }", key), "%s names no file", key)
		}
	} else {
		fileName(&v.dst.Name).read(d, it)
	}
	if v.dst.Wanted() {
		d.files = append(d.files, namedFile{*v.dst, it.key, at, v.secret})
	}
	for _, p := range encode.Placeholders {
		if v.dst.Has(p) && !slices.Contains(v.may, p) {
			hint := fmt.Sprintf("write %s = { file = %s, literal = true } if the braces stand for themselves", it.key, quote(v.dst.Name))
			var places []string
			for _, may := range v.may {
				places = append(places, string(may))
			}
			if places != nil {
				hint = "use " + enumerate(places, "or")
			}
			d.errorf(at, hint, "%s: %s means nothing in %q", it.key, p, v.dst.Name)
		}
	}
}

func (v fileValue) print(p *printer, f field) {
	if !v.dst.Wanted() {
		return
	}
	if *v.dst == (encode.FileSpec{Name: v.dst.Name}) {
		p.line(f.key, quote(v.dst.Name), f.doc)
		return
	}
	var parts []string
	for _, sub := range v.table().fields {
		if literal := sub.value.(scalar).literal(); literal != "" {
			parts = append(parts, sub.key+" = "+literal)
		}
	}
	p.line(f.key, "{ "+strings.Join(parts, ", ")+" }", f.doc)
}

func fileName(dst *string) scalar {
	return parsed(dst, func(d *decoder, s string) (string, string, error) {
		hint, err := checkName(s, d.goos)
		return s, hint, err
	}, itself)
}

// checkName accepts what the writer accepts as the name of a file, and says what
// to write instead.
func checkName(name, goos string) (hint string, err error) {
	if goos == "windows" && strings.ContainsAny(name, `\:*?"<>|`) {
		return "a slash separates directories", fmt.Errorf("file name %q holds one of "+`\:*?"<>|`, name)
	}
	if err = writer.CheckName(name); err == nil {
		return "", nil
	}
	clean := strings.TrimLeft(path.Clean(name), "/")
	switch {
	case name == "":
		hint = "give it a name or leave it out"
	case strings.HasPrefix(clean, "../") || clean == "..":
		hint, err = "make the other directory an output of its own", fmt.Errorf("file name %q leads out of the output's directory", name)
	case strings.HasPrefix(name, "/") && writer.CheckName(clean) == nil:
		hint = "write " + quote(clean) + ", or make the directory an output of its own"
	case writer.CheckName(clean) == nil:
		hint = "write " + quote(clean)
	}
	return hint, err
}
