package companion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"unicode"
)

// quoting are the functions that make a value of unknown origin fit for a file: a
// hint, or a claim of a token, can have quotes and newlines in it. They work at the
// expense of b.
func quoting(b *budget) template.FuncMap {
	return template.FuncMap{
		"json":  b.quoted(toJSON),
		"shell": b.quoted(toShell),
		"hcl":   b.quoted(toHCL),
		"backslash": func(chars string, v any) (string, error) {
			return b.quoted(func(v any) (string, error) { return backslash(chars, v) })(v)
		},
		"indent": func(n int, v any) (string, error) {
			if err := b.spend(strings.Count(fmt.Sprint(v), "\n") * min(max(n, 0), maxIndent)); err != nil {
				return "", err
			}
			return b.quoted(func(v any) (string, error) { return indent(n, v) })(v)
		},
	}
}

// toJSON writes any value in JSON, and so in YAML: a text with its quotes.
func toJSON(v any) (string, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// toShell writes a text as one word of a POSIX shell, with its quotes.
func toShell(v any) (string, error) {
	s := fmt.Sprint(v)
	if strings.Contains(s, "\x00") {
		return "", fmt.Errorf("shell: no word has a zero byte in it")
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'", nil
}

// toHCL writes a text as a string of HCL, with its quotes and nothing interpolated.
func toHCL(v any) (string, error) {
	var out strings.Builder
	out.WriteByte('"')
	runes := []rune(fmt.Sprint(v))
	for i, c := range runes {
		switch {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteRune(c)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\r':
			out.WriteString(`\r`)
		case c == '\t':
			out.WriteString(`\t`)
		case (c == '$' || c == '%') && i+1 < len(runes) && runes[i+1] == '{':
			out.WriteRune(c)
			out.WriteRune(c)
		case !unicode.IsPrint(c):
			fmt.Fprintf(&out, `\U%08X`, c)
		default:
			out.WriteRune(c)
		}
	}
	out.WriteByte('"')
	return out.String(), nil
}

// backslash writes a text with a backslash before each backslash and before each of
// some characters. A text of several lines, or with other control characters, has no
// such form.
func backslash(chars string, v any) (string, error) {
	var out strings.Builder
	for _, c := range fmt.Sprint(v) {
		if unicode.IsControl(c) {
			return "", fmt.Errorf("backslash: %q has a control character in it", fmt.Sprint(v))
		}
		if c == '\\' || strings.ContainsRune(chars, c) {
			out.WriteByte('\\')
		}
		out.WriteRune(c)
	}
	return out.String(), nil
}

// maxIndent is the deepest indentation, in spaces.
const maxIndent = 100

// indent writes a text with so many spaces before each of its lines.
func indent(n int, v any) (string, error) {
	if n < 0 || n > maxIndent {
		return "", fmt.Errorf("indent: from 0 to %d spaces", maxIndent)
	}
	space := strings.Repeat(" ", n)
	return space + strings.ReplaceAll(strings.TrimSuffix(fmt.Sprint(v), "\n"), "\n", "\n"+space), nil
}
