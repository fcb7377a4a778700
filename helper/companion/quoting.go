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
// hint, or a claim of a token, can have quotes and newlines in it.
var quoting = template.FuncMap{
	"json":      toJSON,
	"shell":     toShell,
	"hcl":       toHCL,
	"backslash": backslash,
	"indent":    indent,
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
func toHCL(v any) string {
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
	return out.String()
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

// indent writes a text with so many spaces before each of its lines.
func indent(n int, v any) (string, error) {
	const most = 100
	if n < 0 || n > most {
		return "", fmt.Errorf("indent: from 0 to %d spaces", most)
	}
	space := strings.Repeat(" ", n)
	return space + strings.ReplaceAll(strings.TrimSuffix(fmt.Sprint(v), "\n"), "\n", "\n"+space), nil
}
