package encode

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// The placeholders that stand in a file name for what only an answer tells.
const (
	placeHint        = "{hint}"
	placeID          = "{id}"
	placeIndex       = "{index}"
	placeTrustDomain = "{trust_domain}"
)

var placeholders = []string{placeHint, placeID, placeIndex, placeTrustDomain}

// HasPlaceholder reports whether name holds one of {hint}, {id}, {index} and
// {trust_domain}.
func HasPlaceholder(name string) bool {
	_, _, found := cutPlaceholder(name)
	return found
}

// cutPlaceholder cuts name around its first placeholder.
func cutPlaceholder(name string) (before, after string, found bool) {
	at, length := len(name), 0
	for _, p := range placeholders {
		if i := strings.Index(name, p); i >= 0 && i < at {
			at, length = i, len(p)
		}
	}
	return name[:at], name[at+length:], length > 0
}

// matchName reports whether name is what pattern can expand to. A placeholder
// stands for one or more characters within an element.
func matchName(pattern, name string) bool {
	before, after, found := cutPlaceholder(pattern)
	if !found {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	for i := 0; i < len(rest) && rest[i] != '/'; i++ {
		if matchName(after, rest[i+1:]) {
			return true
		}
	}
	return false
}

// expand fills in the placeholders of a name and claims the result: what fills
// them comes from outside.
func (r *encoding) expand(name string, hint string, id spiffeid.ID, index int) (string, error) {
	if strings.Contains(name, placeHint) {
		if err := checkHint(hint); err != nil {
			return "", fmt.Errorf("%w: %s cannot stand for it in %q; use %s or %s", err, placeHint, name, placeID, placeIndex)
		}
	}
	out := strings.NewReplacer(
		placeHint, hint,
		placeID, idName(id),
		placeIndex, fmt.Sprint(index),
	).Replace(name)
	return out, r.claim(out)
}

// checkHint accepts a hint that can be part of a file name.
func checkHint(hint string) error {
	if hint == "" {
		return errors.New("it has no hint")
	}
	bad := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	if len(hint) > 64 || strings.ContainsFunc(hint, bad) {
		return fmt.Errorf("its hint %.80q is not 1 to 64 of A-Z, a-z, 0-9, dot, underscore and hyphen", hint)
	}
	return nil
}

// idName writes a SPIFFE ID as one element of a file name. No SPIFFE ID holds a
// plus (SPIFFE-ID 2), so that two IDs never share a name.
func idName(id spiffeid.ID) string {
	return id.TrustDomain().Name() + strings.ReplaceAll(id.Path(), "/", "+")
}
