package encode

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// A Placeholder stands in a file's name for what only an answer tells.
type Placeholder string

// The placeholders.
const (
	PlaceTrustDomain Placeholder = "{trust_domain}" // of the SVID or the bundle that the file holds
	PlaceID          Placeholder = "{id}"           // the SVID's SPIFFE ID, with "+" for each slash
	PlaceHint        Placeholder = "{hint}"         // the SVID's hint
	PlaceIndex       Placeholder = "{index}"        // the SVID's number among those selected, from 0
	PlaceFurther     Placeholder = "{index.}"       // nothing for the first of them, then the number and a dot
	PlaceNumber      Placeholder = "{n}"            // the foreign bundle's number in the answer, from 0
)

// Placeholders are all of them.
var Placeholders = []Placeholder{PlaceHint, PlaceID, PlaceIndex, PlaceFurther, PlaceNumber, PlaceTrustDomain}

// Has reports whether a placeholder stands in the file's name.
func (f FileSpec) Has(p Placeholder) bool {
	return !f.Literal && strings.Contains(f.Name, string(p))
}

// Varies reports whether only an answer tells the file's name.
func (f FileSpec) Varies() bool { return slices.ContainsFunc(Placeholders, f.Has) }

// Matches reports whether a name is one that the file can have.
func (f FileSpec) Matches(name string) bool {
	if !f.Varies() {
		return f.Wanted() && f.Name == name
	}
	return matchName(f.Name, name)
}

// cutPlaceholder cuts name around its first placeholder.
func cutPlaceholder(name string) (before, after string, found Placeholder) {
	at := len(name)
	for _, p := range Placeholders {
		if i := strings.Index(name, string(p)); i >= 0 && i < at {
			at, found = i, p
		}
	}
	return name[:at], name[at+len(found):], found
}

// matchName reports whether name is what pattern can expand to. A placeholder
// stands for one or more characters within an element; {index.} also for none.
func matchName(pattern, name string) bool {
	before, after, found := cutPlaceholder(pattern)
	if found == "" {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, before)
	if !ok {
		return false
	}
	if found == PlaceFurther && matchName(after, rest) {
		return true
	}
	for i := 0; i < len(rest) && rest[i] != '/'; i++ {
		if matchName(after, rest[i+1:]) {
			return true
		}
	}
	return false
}

// A naming is what fills the placeholders of a name. All of it comes from outside.
type naming struct {
	trustDomain spiffeid.TrustDomain
	id          spiffeid.ID
	hint        string
	index, n    int
}

// ofSVID names a file of an SVID.
func ofSVID(id spiffeid.ID, hint string, index int) naming {
	return naming{trustDomain: id.TrustDomain(), id: id, hint: hint, index: index}
}

// expand fills in the placeholders of a file's name and claims the result. An
// error is about that name alone.
func (r *encoding) expand(f FileSpec, by naming) (FileSpec, error) {
	if !f.Varies() {
		return f, nil
	}
	if f.Has(PlaceHint) {
		if err := checkHint(by.hint); err != nil {
			return f, fmt.Errorf("%w: %s cannot stand for it in %q; use %s or %s", err, PlaceHint, f.Name, PlaceID, PlaceIndex)
		}
	}
	further := ""
	if by.index > 0 {
		further = strconv.Itoa(by.index) + "."
	}
	f.Name = strings.NewReplacer(
		string(PlaceFurther), further,
		string(PlaceTrustDomain), by.trustDomain.Name(),
		string(PlaceID), idName(by.id),
		string(PlaceHint), by.hint,
		string(PlaceIndex), strconv.Itoa(by.index),
		string(PlaceNumber), strconv.Itoa(by.n),
	).Replace(f.Name)
	return f, r.claim(f.Name)
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
