package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// scalar is a value that is read from one node and printed as one literal.
type scalar struct {
	// take reads the node, and complains if it cannot.
	take func(d *decoder, n *node)
	// literal is the value in the native dialect, or empty for the default.
	literal func() string
}

func (v scalar) read(d *decoder, it *item) {
	if len(it.labels) > 0 {
		d.errorf(it.labels[0].span, fmt.Sprintf("write %s = %q", it.key, it.labels[0].text), "%s is not a block", it.key)
		return
	}
	v.take(d, it.value)
}

func (v scalar) print(p *printer, f field) {
	if text := v.literal(); text != "" {
		p.line(f.key, text, f.doc)
	}
}

// describe says what a node is, in messages.
func (n *node) describe() string {
	switch n.kind {
	case nodeString:
		return "a string"
	case nodeNumber:
		return "a number"
	case nodeBool:
		return "a boolean"
	case nodeList:
		return "a list"
	case nodeObject:
		return "a block"
	case nodeBare:
		return "text without quotes"
	}
	return "nothing"
}

// str returns the node's text. A bare number will do for a string.
func (d *decoder) str(n *node) (string, bool) {
	switch n.kind {
	case nodeString, nodeNumber:
		return n.text, true
	case nodeBare:
		hint := "write " + d.key + " = " + quote(strings.Trim(n.text, `'`))
		if d.secret(n.start) {
			hint = ""
		}
		d.complain(n, hint, "a string needs double quotes")
	default:
		d.complain(n, "write "+d.key+` = "…"`, "want a string, not %s", n.describe())
	}
	return "", false
}

// anyText is a string, which may be empty.
func anyText(dst *string) value {
	return scalar{
		func(d *decoder, n *node) {
			if s, ok := d.str(n); ok {
				*dst = s
			}
		},
		func() string { return literalText(*dst) },
	}
}

func literalText(s string) string {
	if s == "" {
		return ""
	}
	return quote(s)
}

// text is a string that is not empty.
func text(dst *string) value { return filled(dst, "give it a value or leave it out") }

// filled is text, with a hint of its own for one that is empty.
func filled(dst *string, hint string) value {
	return scalar{
		func(d *decoder, n *node) {
			s, ok := d.str(n)
			if ok && s == "" {
				d.complain(n, hint, "is empty")
			}
			*dst = s
		},
		func() string { return literalText(*dst) },
	}
}

// checked is a string that is not empty and that check accepts.
func checked(dst *string, check func(string) (hint string, err error)) value {
	return scalar{
		func(d *decoder, n *node) {
			s, ok := d.str(n)
			if !ok {
				return
			}
			if s == "" {
				d.complain(n, "give it a value or leave it out", "is empty")
			} else if hint, err := check(s); err != nil {
				d.complain(n, hint, "%v", err)
			} else {
				*dst = s
			}
		},
		func() string { return literalText(*dst) },
	}
}

// boolean is true or false; on is what true stores. HCL 1 takes the two words
// in quotes as well.
func boolean(dst *bool, on bool) value {
	return described{scalar{
		func(d *decoder, n *node) {
			if n.kind == nodeBool || n.kind == nodeString && (n.text == "true" || n.text == "false") {
				*dst = (n.text == "true") == on
				return
			}
			d.complain(n, "write "+d.key+" = true or "+d.key+" = false", "want true or false")
		},
		func() string {
			if !*dst {
				return ""
			}
			return strconv.FormatBool(on)
		},
	}, interpolated(schema{"type": "boolean"})}
}

// integer is a number from low to high, in any base that Go knows.
func integer(dst *int, low, high int) value {
	return described{scalar{
		func(d *decoder, n *node) {
			v, err := strconv.ParseInt(n.text, 0, 64)
			switch {
			case n.kind != nodeNumber && n.kind != nodeString || err != nil:
				hint := ""
				if digits := strings.TrimLeft(n.text, ":\"' "); digits != "" && strings.Trim(digits, "0123456789") == "" {
					hint = "write " + d.key + " = " + digits
				}
				d.complain(n, hint, "want a whole number, not %s", n.describe())
			case v < int64(low) || v > int64(high):
				d.complain(n, "", "want a number from %d to %d", low, high)
			default:
				*dst = int(v)
			}
		},
		func() string {
			if *dst == 0 {
				return ""
			}
			return strconv.Itoa(*dst)
		},
	}, interpolated(schema{"type": []string{"integer", "string"}, "pattern": "^(0[xXoObB])?[0-9a-fA-F_]+$"})}
}

// duration is a Go duration, such as "1m30s".
func duration(dst *time.Duration) value {
	return scalar{
		func(d *decoder, n *node) {
			v, err := time.ParseDuration(n.text)
			switch {
			case (n.kind == nodeNumber || n.kind == nodeBare) && n.text != "0" && strings.IndexByte("0123456789", firstByte(n.text)) >= 0:
				unit := n.text
				if n.kind == nodeNumber {
					unit += "s"
				}
				d.complain(n, fmt.Sprintf("write %s = %q", d.key, unit), "a duration is a string with a unit")
			case n.kind != nodeString && n.kind != nodeNumber:
				d.complain(n, `write "30s", "5m" or "1h30m"`, "want a duration, not %s", n.describe())
			case err != nil:
				d.complain(n, `write "30s", "5m" or "1h30m"`, "%q is not a duration", n.text)
			case v < 0:
				d.complain(n, "", "a duration cannot be negative")
			default:
				*dst = v
			}
		},
		func() string {
			if *dst == 0 {
				return ""
			}
			return quote(shortDuration(*dst))
		},
	}
}

// shortDuration is d as a person writes it: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// A word is one spelling that a choice accepts, and what it means.
type word[T comparable] struct {
	text  string
	value T
}

// choice is one of a few words.
func choice[T comparable](dst *T, words ...word[T]) value {
	var texts []string
	for _, w := range words {
		texts = append(texts, w.text)
	}
	return described{scalar{
		func(d *decoder, n *node) {
			if v, ok := oneOf(d, n, words); ok {
				*dst = v
			}
		},
		func() string {
			var zero T
			i := slices.IndexFunc(words, func(w word[T]) bool { return w.value == *dst })
			if *dst == zero || i < 0 {
				return ""
			}
			return quote(words[i].text)
		},
	}, interpolated(schema{"enum": texts})}
}

// oneOf returns what the node's text means among words.
func oneOf[T comparable](d *decoder, n *node, words []word[T]) (T, bool) {
	var texts []string
	for _, w := range words {
		if w.text == n.text && n.kind == nodeString {
			return w.value, true
		}
		texts = append(texts, w.text)
	}
	var zero T
	s, ok := d.str(n)
	if ok {
		d.complain(n, didYouMean(Nearest(s, texts), "it is one of "+enumerate(texts, "and")), "%q is not known here", s)
	}
	return zero, false
}

// splitHostPort splits an address whose port is a number.
func splitHostPort(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", s)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	return host, int(n), nil
}
