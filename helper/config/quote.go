package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// unquote returns what a string token means. Escapes are those of HCL 1, which
// are Go's, or of JSON; within "${" and its brace nothing is an escape.
func (b *builder) unquote(t token) string {
	raw := b.src[t.start:t.end]
	if len(raw) < 2 || raw[len(raw)-1] != '"' {
		return "" // never closed: reported by the scanner
	}
	var text string
	if b.json {
		if err := json.Unmarshal(raw, &text); err != nil {
			b.errorf(t.span, "JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX", "the string has an invalid escape or a control character")
		}
	} else {
		var bad int
		if text, bad = unescape(string(raw[1 : len(raw)-1])); bad >= 0 {
			at := t.start + 1 + bad
			b.errorf(span{at, min(at+2, t.end)}, `a backslash itself is written \\`, "the string has an invalid escape")
			return text
		}
	}
	b.checkText(t.span, text)
	return text
}

// checkText refuses what no path, argument or audience can hold.
func (b *builder) checkText(sp span, text string) {
	switch {
	case !utf8.ValidString(text):
		b.errorf(sp, "", "the string is not valid UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		b.errorf(sp, "", "the string has a zero byte")
	}
}

// unescape resolves the escapes in s. It returns where the first is that is
// none, or -1.
func unescape(s string) (text string, bad int) {
	if !strings.ContainsAny(s, "\\\r") {
		return s, -1
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		n := 1
		switch {
		case strings.HasPrefix(s[i:], "${"):
			n = interpolation(s[i:])
			out.WriteString(strings.ReplaceAll(s[i:i+n], "\r\n", "\n")) // it may span lines
		case s[i] == '\\':
			var c []byte
			if c, n = escape(s[i:]); n == 0 {
				return out.String(), i
			}
			out.Write(c)
		default:
			out.WriteByte(s[i])
		}
		i += n
	}
	return out.String(), -1
}

// interpolation returns the length of the "${…}" that s begins with.
func interpolation(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

const (
	escapes  = `abfnrtv\"`
	escapeds = "\a\b\f\n\r\t\v\\\""
)

// escape returns what the escape that s begins with stands for, and its length,
// 0 if it is none.
func escape(s string) ([]byte, int) {
	if len(s) < 2 {
		return nil, 0
	}
	if i := strings.IndexByte(escapes, s[1]); i >= 0 {
		return []byte{escapeds[i]}, 2
	}
	digits, base, from := 0, uint32(16), 2
	switch s[1] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case '0', '1', '2', '3', '4', '5', '6', '7':
		digits, base, from = 3, 8, 1
	}
	if digits == 0 || len(s) < from+digits {
		return nil, 0
	}
	var v uint32
	for _, c := range []byte(s[from : from+digits]) {
		d := strings.IndexByte("0123456789abcdef", lower(c))
		if d < 0 || uint32(d) >= base {
			return nil, 0
		}
		v = v*base + uint32(d)
	}
	switch {
	case digits <= 3 && v > 0xff, digits > 3 && (v > utf8.MaxRune || !utf8.ValidRune(rune(v))):
		return nil, 0
	case digits <= 3:
		return []byte{byte(v)}, from + digits
	}
	return utf8.AppendRune(nil, rune(v)), from + digits
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// heredocText returns the text of a heredoc. HCL 1 keeps the white space in
// front of the closing marker. The indented form, <<-, takes that white space
// off every line, if every line has it.
func heredocText(raw []byte) string {
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	first, rest, _ := bytes.Cut(raw, []byte("\n"))
	marker, indented := heredocMarker(first)
	text := strings.TrimSuffix(strings.TrimRight(string(rest), " \t\r"), string(marker))
	if !indented {
		return text
	}
	body := strings.TrimRight(text, " \t")
	indent := text[len(body):]
	lines := strings.SplitAfter(body, "\n")
	for i, line := range lines {
		trimmed, ok := strings.CutPrefix(line, indent)
		if !ok && line != "" {
			return body
		}
		lines[i] = trimmed
	}
	return strings.Join(lines, "")
}

// quote returns s as a string of the native dialect, which HCL 1 and 2 read
// alike.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case !unicode.IsPrint(r), (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
