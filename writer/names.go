package writer

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// The longest element of a name, and the longest name, in bytes.
const (
	maxElement = 255
	maxName    = 1024
)

// CheckName reports why a name cannot be that of a file in an output: it must
// lead to a place inside the directory on every platform, and must not be one
// of ours. Elements are separated by slashes.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("file name is empty")
	case len(name) > maxName:
		return fmt.Errorf("file name of %d bytes is too long: %d is the most", len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("file name %q is not UTF-8", name)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("file name %q is absolute: it has to be relative to the output's directory", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("file name %q holds a control character", name)
	case runtime.GOOS == "windows" && strings.ContainsAny(name, `\:*?"<>|`):
		return fmt.Errorf(`file name %q holds one of \:*?"<>|`, name)
	}
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "":
			return fmt.Errorf("file name %q has an empty element", name)
		case element == ".":
			return fmt.Errorf(`file name %q has the element "."`, name)
		case strings.HasPrefix(element, ".."):
			return fmt.Errorf(`file name %q has an element that starts with "..": such names are the helper's own`, name)
		case len(element) > maxElement:
			return fmt.Errorf("file name %q has an element of %d bytes: %d is the most", name[:32]+"…", len(element), maxElement)
		}
	}
	return nil
}

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

// expand fills in the placeholders of a name and checks the result, since what
// fills them comes from outside.
func expand(name string, hint string, id spiffeid.ID, index int) (string, error) {
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
	return out, CheckName(out)
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

// fold maps names that the file system takes for the same to one string.
func fold(name string) string {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.ToLower(name)
	}
	return name
}

// names are those that files of one directory have taken, and the directories
// on the way to them, folded.
type names map[string]string

// take claims a name: no other file may have it, nor be a directory on its way.
func (n names) take(name string) error {
	folded := fold(name)
	if other, taken := n[folded]; taken {
		return fmt.Errorf("%q and %q cannot both be in one directory: give each file a name of its own", strings.TrimSuffix(other, "/"), name)
	}
	n[folded] = name
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		folded := fold(dir)
		if other, taken := n[folded]; taken && !strings.HasSuffix(other, "/") {
			return fmt.Errorf("%q cannot be a file and the directory of %q", other, name)
		}
		n[folded] = dir + "/"
	}
	return nil
}
