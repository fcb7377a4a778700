package config

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// lazy compiles a regular expression when it is first needed: most files have no
// mistake.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// keyLine is a line that begins with a key.
var keyLine = lazy(`^(\s*)"?([\pL_][\pL\pN_.-]*)"?[ \t]*(.*)$`)

// danglingKey is what stands before the place of a value that is missing, quoted a
// string and what follows it, and nextWord a string, a bracket or a word.
var (
	nextWord    = lazy(`^(?:"[^"\s]*"?|\S[^\s{}\[\],=]{0,60})`)
	danglingKey = lazy(`([\pL_][\pL\pN_.-]*)"?[ \t]*[=:][ \t]*$`)
	quoted      = lazy(`^"(?:[^"\\]|\\.)*"[ \t]*`)
)

// explain reports a syntax error in a chunk of the file, near the offset, in
// our words where we know better than the parser what the user meant to write.
// summary and detail are HCL 2's words; HCL 1 has no summary. It returns the
// item, if all that is wrong is that its value has no quotes: what reads the
// value says so.
func (o *outline) explain(c span, at int, summary, detail string) []*item {
	at = min(max(at, c.start), c.end)
	begin := max(bytes.LastIndexByte(o.src[:at], '\n')+1, c.start)
	first, _, _ := bytes.Cut(o.src[c.start:c.end], []byte("\n"))
	late := summary == "" && !bytes.ContainsAny(first, "{[") // HCL 1 notices a missing value at the next key
	if late {
		begin, at = c.start, min(at, c.start+len(first))
	}
	text, _, _ := bytes.Cut(o.src[begin:], []byte("\n"))
	after, _, _ := bytes.Cut(o.src[at:], []byte("\n"))
	after = bytes.TrimLeft(after, " \t")
	if m := danglingKey().FindSubmatchIndex(o.src[begin:at]); m != nil && (len(after) == 0 || after[0] == '}' || after[0] == ']') {
		o.noValue(span{begin + m[2], begin + m[3]}, "")
		return nil
	}
	m := keyLine().FindSubmatchIndex(text)
	if m == nil {
		o.unexpected(at, "", summary, detail)
		return nil
	}
	key := span{begin + m[4], begin + m[5]}
	name, rest, restAt := o.show(key), strings.TrimRight(string(text[m[6]:m[7]]), " \t"), begin+m[6]
	value := strings.TrimLeft(strings.TrimLeft(rest, "=:"), " \t")
	valueAt := restAt + len(rest) - len(value)
	inQuotes := strings.HasPrefix(value, `"`)
	switch {
	case rest == "":
		o.noValue(key, "")
	case inQuotes && rest == value && !strings.HasSuffix(rest, "{"):
		o.noValue(key, o.show(span{restAt, restAt + len(rest)}))
	case rest[0] == ':':
		o.errorf(span{restAt, restAt + 1}, fmt.Sprintf("write %s = …", name), "a key is separated from its value by an equals sign")
	case strings.HasPrefix(value, "<<") && strings.ContainsAny(value, " \t"):
		sp := span{valueAt, valueAt + len(value)}
		o.errorf(sp, "write "+strings.ReplaceAll(o.show(sp), " ", ""), "a heredoc begins with << and a word, without spaces")
		o.reported = append(o.reported, c.end) // the marker's line is no item
	case rest == value && !inQuotes && value[0] != '{' && strings.HasSuffix(rest, "{"):
		sp := span{restAt, restAt + len(strings.TrimRight(rest, " \t{"))}
		o.errorf(sp, fmt.Sprintf("write %s %q", name, o.show(sp)), "%s needs double quotes", o.show(sp))
	case late && inQuotes:
		if n := len(quoted().FindString(value)); 0 < n && n < len(value) {
			summary, at = "Missing newline after argument", valueAt+n
		}
		o.unexpected(at, name, summary, detail)
	case late && rest != value && !strings.HasPrefix(value, "<"):
		sp := span{valueAt, valueAt + len(bareText([]byte(value)))}
		return []*item{{key: string(o.src[key.start:key.end]), at: key, value: &node{span: sp, kind: nodeBare, text: string(o.src[sp.start:sp.end])}}}
	default:
		o.unexpected(at, name, summary, detail)
	}
	return nil
}

// bareText returns what a line has of a value without quotes: up to a comment
// or a closing brace.
func bareText(line []byte) []byte {
	for _, stop := range []string{" #", "\t#", " //", "\t//", "}"} {
		line, _, _ = bytes.Cut(line, []byte(stop))
	}
	return bytes.TrimRight(line, " \t\r")
}

// noValue reports a key without a value.
func (o *outline) noValue(key span, value string) {
	name := o.show(key)
	hint := fmt.Sprintf(`write %s = "…"`, name)
	switch {
	case value != "":
		hint = fmt.Sprintf("write %s = %s", name, value)
	case isBlock(name):
		hint = fmt.Sprintf("write %s { … }, the brace on the line of the name", name)
	}
	o.errorf(key, hint, "%s has no value", name)
}

// syntaxErrors are the parser's words and ours; %s is the word at the place.
var syntaxErrors = map[string]struct{ message, hint string }{
	"Missing newline after argument":           {"unexpected %s after a value", "each key has a line of its own, and one value: a string in double quotes, a number, a list [ … , … ] or a block { … }"},
	"Unexpected comma after argument":          {"unexpected comma after a value", "each key has a line of its own, without a comma"},
	"Invalid single-argument block definition": {"a block on one line has one key", "put each key on a line of its own, and the closing brace after the last"},
	"Argument definition required":             {"a block on one line has one key, and no block", "put the inner block on lines of its own"},
	"illegal char escape":                      {"the string has an invalid escape", `a backslash itself is written \\`},
	"error parsing list, expected comma or":    {"unexpected %s in a list", "a list separates its elements with commas"},
	"expected: IDENT | STRING | ASSIGN":        {"unexpected %s", "a key has one value: a string in double quotes, a number, a list [ … , … ] or a block { … }"},
	"Missing item separator":                   {"unexpected %s in a list", "a list separates its elements with commas"},
	"Missing attribute separator":              {"unexpected %s", "put each key on a line of its own"},
	"Invalid escape sequence":                  {"the string has an invalid escape", `a backslash itself is written \\`},
	"Attribute redefined":                      {"%s is given twice", "keep one of them"},
	"Invalid argument name":                    {"a key has no quotes", "leave them out"},
	"Invalid string literal":                   {"the name of a block is not interpolated", `a literal ${ is written $${; an output's directory can be written in it: output "name" { dir = "…" }`},
	"Invalid expression":                       {"unexpected %s", "a value is one string in double quotes, a number, a list [ … , … ] or a block { … }"},
}

// unexpected reports a syntax error without knowing what was meant.
func (o *outline) unexpected(at int, key, summary, detail string) {
	if detail == "" { // a chunk of comments
		return
	}
	end := at + len(nextWord().Find(o.src[at:]))
	if summary == "" { // HCL 1 shows the token behind its words
		for words := range syntaxErrors {
			if strings.HasPrefix(detail, words) {
				summary = words
			}
		}
		if strings.HasSuffix(summary, "escape") { // and its place is behind the backslash
			at--
		}
	}
	sp := span{at, end}
	if ours, ok := syntaxErrors[summary]; ok {
		word := o.show(sp)
		if end == at {
			word = "end of the line"
		}
		o.errorf(sp, ours.hint, "%s", strings.NewReplacer("%s", word, "a value", "the value of "+cmp.Or(key, "a key")).Replace(ours.message))
		return
	}
	o.errorf(sp, "", "%s", lowerFirst(detail))
}

// lowerFirst turns a sentence of a library's into a part of an error.
func lowerFirst(s string) string {
	if len(s) < 2 || unicode.IsUpper(rune(s[1])) { // an abbreviation
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
