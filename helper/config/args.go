package config

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// Errors of splitArgs.
var (
	errNoArgs       = errors.New("holds no arguments")
	errStrayQuote   = errors.New("stray double quote: quotes surround a whole argument, and one inside is doubled")
	errUnterminated = errors.New("unterminated double quote")
)

// splitArgs splits cmd_args into arguments as spiffe-helper does: one record of
// comma-separated values (RFC 4180) with a space for the comma. Double quotes
// surround a whole argument, and one within is doubled. No other character
// means anything; two spaces in a row hold an empty argument between them. The
// record is the first line that is not empty; what follows it is ignored, and
// returned.
func splitArgs(s string) (args []string, ignored string, err error) {
	if s == "" {
		return nil, "", nil
	}
	r := csv.NewReader(strings.NewReader(s))
	r.Comma = ' '
	args, err = r.Read()
	switch {
	case err == io.EOF:
		return nil, "", errNoArgs
	case err != nil && strings.Count(s, `"`)%2 == 1:
		return nil, "", errUnterminated
	case err != nil:
		return nil, "", errStrayQuote
	}
	return args, s[r.InputOffset():], nil
}
