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
	if s == "" {
		return nil, nil
	}
	s = recordLines(s)
	for strings.HasPrefix(s, "\n") {
		s = s[1:]
	}
	if s == "" {
		return nil, errNoArgs
	}
	var args []string
	for more := true; more; {
		var arg string
		var err error
		if strings.HasPrefix(s, `"`) {
			arg, s, more, err = quotedArg(s[1:])
		} else {
			arg, s, more, err = plainArg(s)
		}
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// recordLines ends each line with one newline, as a reader of records sees
// them: a carriage return belongs to a line end, or to the end of the text.
func recordLines(s string) string {
	if !strings.HasSuffix(s, "\n") {
		s = strings.TrimSuffix(s, "\r")
	}
	return strings.ReplaceAll(s, "\r\n", "\n")
}

// plainArg takes an argument that ends with a space, or with its line.
func plainArg(s string) (arg, rest string, more bool, err error) {
	line, _, _ := strings.Cut(s, "\n")
	arg, rest, more = strings.Cut(line, " ")
	if strings.Contains(arg, `"`) {
		return "", "", false, errStrayQuote
	}
	if more {
		rest = s[len(arg)+1:]
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
		case strings.HasPrefix(after, `"`):
			b.WriteByte('"')
			s = after[1:]
		case strings.HasPrefix(after, " "):
			return b.String(), after[1:], true, nil
		case after == "" || after[0] == '\n':
			return b.String(), "", false, nil
		default:
			return "", "", false, errStrayQuote
		}
	}
}
