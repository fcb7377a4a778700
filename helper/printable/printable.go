// Package printable makes text of unknown origin fit to be shown. What an agent, a
// file or another program says may hold characters that are commands to a terminal,
// or that turn the text around, and may be of any length.
package printable

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Line returns a text for one line: what cannot be printed is a question mark, and
// what is longer than so many bytes is cut.
func Line(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// JSON returns a JSON document that means the same and can be printed: what cannot
// is escaped. Only the strings of a document hold such characters.
func JSON(document []byte) []byte {
	var out strings.Builder
	for _, r := range string(document) {
		if r == '\n' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return []byte(out.String())
}
