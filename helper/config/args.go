package config

import (
	"errors"
	"strings"
)

// Errors of SplitArgs.
var (
	errNoArgs       = errors.New("holds no arguments")
	errStrayQuote   = errors.New("stray double quote: quotes surround a whole argument, and one inside is doubled")
	errUnterminated = errors.New("unterminated double quote")
)

// SplitArgs splits cmd_args into arguments as spiffe-helper does: one record of
// comma-separated values (RFC 4180) with a space for the comma. Double quotes
// surround a whole argument, and one within is doubled. No other character
// means anything; two spaces in a row hold an empty argument between them. The
// record is the first line that is not empty; what follows it is ignored.
//
// It is written out, rather than left to encoding/csv, for the sake of its
// errors; it agrees with that package on every input.
func SplitArgs(s string) ([]string, error) {
	args, _, err := splitRecord(s)
	return args, err
}

// splitRecord is SplitArgs, and returns what it ignores too.
func splitRecord(s string) (args []string, ignored string, err error) {
	if s == "" {
		return nil, "", nil
	}
	if s = strings.TrimLeft(recordLines(s), "\n"); s == "" {
		return nil, "", errNoArgs
	}
	for more := true; more; {
		var arg string
		if quoted, ok := strings.CutPrefix(s, `"`); ok {
			arg, s, more, err = quotedArg(quoted)
		} else {
			arg, s, more, err = plainArg(s)
		}
		if err != nil {
			return nil, "", err
		}
		args = append(args, arg)
	}
	return args, s, nil
}

// recordLines ends each line with one newline, as a reader of records sees
// them: a carriage return belongs to a line end, or to the end of the text.
func recordLines(s string) string {
	return strings.ReplaceAll(strings.TrimSuffix(s, "\r"), "\r\n", "\n")
}

// plainArg takes an argument that ends with a space, or with its line.
func plainArg(s string) (arg, rest string, more bool, err error) {
	if i := strings.IndexAny(s, " \n"); i >= 0 {
		arg, rest, more = s[:i], s[i+1:], s[i] == ' '
	} else {
		arg = s
	}
	if strings.Contains(arg, `"`) {
		return "", "", false, errStrayQuote
	}
	return arg, rest, more, nil
}

// quotedArg takes an argument whose opening quote has been taken.
func quotedArg(s string) (arg, rest string, more bool, err error) {
	var b strings.Builder
	for {
		text, after, closed := strings.Cut(s, `"`)
		b.WriteString(text)
		switch {
		case !closed:
			return "", "", false, errUnterminated
		case after == "":
			return b.String(), "", false, nil
		case after[0] == '"':
			b.WriteByte('"')
			s = after[1:]
		case after[0] == ' ' || after[0] == '\n':
			return b.String(), after[1:], after[0] == ' ', nil
		default:
			return "", "", false, errStrayQuote
		}
	}
}
