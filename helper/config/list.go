package config

import "strings"

// texts is a list of strings that are not empty; one may stand alone.
func texts(dst *[]string) value { return textList(dst, 1) }

// textList is a list of at least so many strings. Where none will do, an empty
// one is not worth an error.
func textList(dst *[]string, least int) value {
	return described{scalar{
		func(d *decoder, n *node) {
			elems := n.elems
			if n.kind != nodeList {
				elems = []*node{n}
			}
			var all []string
			for _, e := range elems {
				s, ok := d.str(e)
				if ok && s == "" && least > 0 {
					d.complain(e, "", "an element is empty")
				} else if ok && s == "" {
					d.warnf(e.span, "", "%s: an empty element is left out", d.key)
					continue
				}
				all = append(all, s)
			}
			if len(all) < least {
				d.complain(n, "", "the list is empty")
			}
			*dst = all
		},
		func() string { return literalList(*dst, quote) },
	}, oneOrMany(scalar{}.schema())}
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
func argv(dst *[]string) value {
	return described{scalar{
		func(d *decoder, n *node) {
			if n.kind != nodeList {
				hint := `write ` + d.key + ` = ["program", "argument"]`
				if n.kind == nodeString || n.kind == nodeBare {
					hint = "write " + d.key + " = " + literalList(shellWords(n.text), quote)
				}
				d.complain(n, hint, "want a list of strings, since nothing goes through a shell")
				return
			}
			var all []string
			for _, e := range n.elems {
				s, _ := d.str(e)
				all = append(all, s)
			}
			if len(all) == 0 || all[0] == "" && n.elems[0].kind == nodeString {
				d.complain(n, `write `+d.key+` = ["program", "argument"]`, "names no program")
			}
			*dst = all
		},
		func() string { return literalList(*dst, quote) },
	}, schema{"type": "array", "items": scalar{}.schema(), "minItems": 1}}
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

// maxList bounds lists whose elements are compared with each other.
const maxList = 10_000

// listOf is a list of values that are no plain strings; one may stand alone.
func listOf[T any](dst *[]T, take func(*decoder, *node) (T, bool), literal func(T) string) value {
	return described{scalar{
		func(d *decoder, n *node) {
			elems := n.elems
			if n.kind != nodeList {
				elems = []*node{n}
			}
			if len(elems) == 0 {
				d.complain(n, "", "the list is empty")
			}
			if len(elems) > maxList {
				d.complain(n, "", "the list has more than %d elements", maxList)
				return
			}
			for _, e := range elems {
				if v, ok := take(d, e); ok {
					*dst = append(*dst, v)
				}
			}
		},
		func() string { return literalList(*dst, literal) },
	}, oneOrMany(scalar{}.schema())}
}
