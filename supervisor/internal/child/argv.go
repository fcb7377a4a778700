package child

import (
	"strconv"
	"strings"
	"unicode"
)

// mostArgv bounds, in bytes, what a log says of a command.
const mostArgv = 300

// Argv writes an argument vector for a log: an argument that has spaces, quotes or
// what does not print is quoted, and a long vector is cut off.
func Argv(argv []string) string {
	var b strings.Builder
	for i, arg := range argv {
		if i > 0 {
			b.WriteByte(' ')
		}
		if b.Len() > mostArgv {
			break
		}
		if len(arg) > mostArgv {
			arg = arg[:mostArgv] + "..."
		}
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool {
			return !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune("\"'\\\uFFFD", r)
		}) {
			arg = strconv.Quote(arg)
		}
		b.WriteString(arg)
	}
	if said := b.String(); len(said) > mostArgv {
		return strings.ToValidUTF8(said[:mostArgv], "") + "..."
	}
	return b.String()
}
