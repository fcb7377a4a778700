package config

import (
	"errors"
	"slices"
	"strings"
)

// maxList bounds lists whose elements are compared with each other.
const maxList = 10_000

// listOf is a list; one element may stand alone.
func listOf[T any](dst *[]T, element func(*decoder, *node) (T, bool), literal func(T) string) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			*dst = nil // the last one wins, where a list may be given twice
			elems := n.elems
			if n.kind != nodeList {
				elems = []*node{n}
			}
			if len(elems) == 0 {
				d.complain(n, "", "the list is empty")
			}
			for _, e := range elems {
				if v, ok := element(d, e); ok {
					*dst = append(*dst, v)
				}
			}
		},
		literal: func() string { return literalList(*dst, literal) },
		form:    func() schema { return oneOrMany(scalar{}.schema()) },
	}
}

// distinct refuses an element that the list already has.
func distinct[T comparable](list *[]T, element func(*decoder, *node) (T, bool)) func(*decoder, *node) (T, bool) {
	return func(d *decoder, n *node) (T, bool) {
		v, ok := element(d, n)
		switch {
		case !ok:
		case len(*list) == maxList:
			d.complain(n, "", "the list has more than %d elements", maxList)
			return v, false
		case slices.Contains(*list, v):
			d.complain(n, "", "%s is given twice", d.show(n.span))
			return v, false
		}
		return v, ok
	}
}

// texts is a list of strings that are not empty.
func texts(dst *[]string) scalar {
	return listOf(dst, textParser[string](func(_ *decoder, s string) (string, string, error) {
		if s == "" {
			return s, "", errors.New("an element is empty")
		}
		return s, "", nil
	}).element, quote)
}

func literalList[T any](list []T, literal func(T) string) string {
	if len(list) == 0 {
		return ""
	}
	var texts []string
	for _, e := range list {
		texts = append(texts, literal(e))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// argv is a command: a list whose first element is not empty.
func argv(dst *[]string) scalar {
	list := listOf(dst, (*decoder).str, quote)
	return scalar{
		take: func(d *decoder, n *node) {
			hint := `write ` + d.key + ` = ["program", "argument"]`
			switch {
			case n.kind == nodeList && (len(n.elems) == 0 || n.elems[0].kind == nodeString && n.elems[0].text == ""):
				d.complain(n, hint, "names no program")
			case n.kind == nodeList:
				list.take(d, n)
			default:
				if n.kind == nodeString || n.kind == nodeBare {
					hint = "write " + d.key + " = " + literalList(shellWords(n.text), quote)
				}
				d.complain(n, hint, "want a list of strings, since nothing goes through a shell")
			}
		},
		literal: list.literal,
		form:    func() schema { return schema{"type": "array", "items": scalar{}.schema(), "minItems": 1} },
	}
}

// shellWords splits roughly as a shell would, for a suggestion.
func shellWords(s string) []string {
	var words []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		var w string
		if q := s[:1]; (q == "'" || q == `"`) && strings.Contains(s[1:], q) {
			w, s, _ = strings.Cut(s[1:], q)
		} else {
			w, s, _ = strings.Cut(s, " ")
		}
		words = append(words, w)
	}
	return words
}
