package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/nearest"
)

// scalar is a value that is read from one node and printed as one literal.
type scalar struct {
	// take reads the node, and complains if it cannot.
	take func(d *decoder, n *node)
	// literal is the value in the native dialect, or empty for the default. There
	// is none for what only spiffe-helper's has.
	literal func() string
	// form is what it is in JSON, if not simply a string.
	form func() schema
}

func (v scalar) read(d *decoder, it *item) {
	if len(it.labels) > 0 {
		d.errorf(it.labels[0].span, fmt.Sprintf("write %s = %q", it.key, it.labels[0].text), "%s is not a block", it.key)
		return
	}
	v.take(d, it.value)
}

func (v scalar) print(p *printer, f field) {
	if v.literal == nil {
		return
	}
	if text := v.literal(); text != "" {
		p.line(f.key, text, f.doc)
	}
}

// describe says what a node is, in messages.
func (n *node) describe() string {
	return map[nodeKind]string{nodeString: "a string", nodeNumber: "a number", nodeBool: "a boolean", nodeList: "a list",
		nodeObject: "a block", nodeBare: "text without quotes", nodeNull: "nothing"}[n.kind]
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

// A textParser makes a value of a string. hint says what to write in place of one
// that it does not understand.
type textParser[T any] func(d *decoder, s string) (v T, hint string, err error)

// element returns what the node's text is to the parser, and complains if it is
// nothing.
func (parse textParser[T]) element(d *decoder, n *node) (v T, ok bool) {
	s, ok := d.str(n)
	if !ok {
		return v, false
	}
	v, hint, err := parse(d, s)
	if err != nil {
		d.complain(n, hint, "%v", err)
	}
	return v, err == nil
}

// parsed is a value that is written as a string; text is how.
func parsed[T comparable](dst *T, parse textParser[T], text func(T) string) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			if v, ok := parse.element(d, n); ok {
				*dst = v
			}
		},
		literal: unlessZero(dst, func(v T) string { return quote(text(v)) }),
	}
}

// unlessZero is the literal of a value whose zero is the default.
func unlessZero[T comparable](dst *T, literal func(T) string) func() string {
	return func() string {
		var zero T
		if *dst == zero {
			return ""
		}
		return literal(*dst)
	}
}

func itself(s string) string { return s }

// anyText is a string, which may be empty.
func anyText(dst *string) scalar {
	return checked(dst, func(string) (string, error) { return "", nil })
}

// text is a string that is not empty.
func text(dst *string) scalar { return filled(dst, "give it a value or leave it out") }

// filled is text, with a hint of its own for one that is empty.
func filled(dst *string, hint string) scalar {
	return checked(dst, func(s string) (string, error) {
		if s == "" {
			return hint, errors.New("is empty")
		}
		return "", nil
	})
}

// checked is a string that check accepts.
func checked(dst *string, check func(string) (hint string, err error)) scalar {
	return parsed(dst, func(_ *decoder, s string) (string, string, error) {
		hint, err := check(s)
		return s, hint, err
	}, itself)
}

// boolean is true or false; on is what true stores. HCL 1 takes the two words
// in quotes as well.
func boolean(dst *bool, on bool) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			if n.kind == nodeBool || n.kind == nodeString && (n.text == "true" || n.text == "false") {
				*dst = (n.text == "true") == on
				return
			}
			d.complain(n, "write "+d.key+" = true or "+d.key+" = false", "want true or false")
		},
		literal: unlessZero(dst, func(bool) string { return strconv.FormatBool(on) }),
		form:    booleanForm,
	}
}

func booleanForm() schema { return interpolated(schema{"type": "boolean"}) }

func integerForm() schema {
	return interpolated(schema{"type": []string{"integer", "string"}, "pattern": "^(0[xXoObB])?[0-9a-fA-F_]+$"})
}

// integer is a number from low to high, in any base that Go knows.
func integer(dst *int, low, high int) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
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
		literal: unlessZero(dst, strconv.Itoa),
		form:    integerForm,
	}
}

// duration is a Go duration, such as "1m30s".
func duration(dst *time.Duration) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			v, err := time.ParseDuration(n.text)
			switch {
			case (n.kind == nodeNumber || n.kind == nodeBare) && n.text != "0" && strings.TrimLeft(n.text, "0123456789") != n.text:
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
		literal: unlessZero(dst, func(d time.Duration) string { return quote(shortDuration(d)) }),
	}
}

// shortDuration is d as a person writes it: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	return strings.NewReplacer("h0m0s", "h", "m0s", "m").Replace(d.String())
}

// A word is one spelling that a choice accepts, and what it means.
type word[T comparable] struct {
	text  string
	value T
}

// choice is one of a few words.
func choice[T comparable](dst *T, words ...word[T]) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			if v, ok := oneOf(d, n, words); ok {
				*dst = v
			}
		},
		literal: unlessZero(dst, func(v T) string {
			if i := slices.IndexFunc(words, func(w word[T]) bool { return w.value == v }); i >= 0 {
				return quote(words[i].text)
			}
			return ""
		}),
		form: func() schema { return interpolated(schema{"enum": textsOf(words)}) },
	}
}

// constant is one of the constants of a type, as they are spelled. zero, unless it
// is empty, is the word for the zero value.
func constant[T ~string](dst *T, zero string, others ...T) scalar {
	var words []word[T]
	if zero != "" {
		words = append(words, word[T]{zero, ""})
	}
	for _, v := range others {
		words = append(words, word[T]{string(v), v})
	}
	return choice(dst, words...)
}

func textsOf[T comparable](words []word[T]) (texts []string) {
	for _, w := range words {
		texts = append(texts, w.text)
	}
	return texts
}

// oneOf returns what the node's text means among words.
func oneOf[T comparable](d *decoder, n *node, words []word[T]) (v T, ok bool) {
	s, ok := d.str(n)
	if !ok {
		return v, false
	}
	texts := textsOf(words)
	if i := slices.Index(texts, s); i >= 0 && n.kind == nodeString {
		return words[i].value, true
	}
	d.complain(n, nearest.Hint(s, texts, "it is one of "+enumerate(texts, "and")), "%q is not known here", s)
	return v, false
}
