package encode

import (
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// CheckPattern reports why a pattern of SPIFFE IDs is not one. A pattern is a
// SPIFFE ID in which "*" stands for any characters within the trust domain or a
// path segment, and a last segment "**" for one or more segments.
func CheckPattern(pattern string) error {
	rest, ok := strings.CutPrefix(pattern, "spiffe://")
	if !ok {
		return fmt.Errorf("pattern %q does not start with spiffe://", pattern)
	}
	segments := strings.Split(rest, "/")
	for i, s := range segments {
		switch {
		case s == "":
			return fmt.Errorf("pattern %q has an empty trust domain or segment", pattern)
		case s == "**" && i > 0 && i == len(segments)-1:
		case strings.Contains(s, "**"):
			return fmt.Errorf("pattern %q: ** can only be the whole last segment of the path", pattern)
		}
	}
	// What is left once the stars are gone must be a SPIFFE ID.
	if _, err := spiffeid.FromString(strings.ReplaceAll(pattern, "*", "x")); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return nil
}

// matchID reports whether a pattern matches a SPIFFE ID.
func matchID(pattern string, id spiffeid.ID) bool {
	want := strings.Split(pattern, "/")
	have := strings.Split(id.String(), "/")
	if last := len(want) - 1; want[last] == "**" {
		if len(have) < len(want) {
			return false
		}
		want, have = want[:last], have[:last]
	}
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if !matchStars(want[i], have[i]) {
			return false
		}
	}
	return true
}

// matchStars reports whether s is pattern with each "*" replaced by any
// characters.
func matchStars(pattern, s string) bool {
	before, after, found := strings.Cut(pattern, "*")
	rest, ok := strings.CutPrefix(s, before)
	if !ok || !found {
		return ok && rest == ""
	}
	if !strings.Contains(after, "*") {
		return strings.HasSuffix(rest, after)
	}
	for i := range len(rest) + 1 {
		if matchStars(after, rest[i:]) {
			return true
		}
	}
	return false
}

// allowed reports why a SPIFFE ID is refused.
func allowed(patterns []string, id spiffeid.ID) error {
	for _, p := range patterns {
		if matchID(p, id) {
			return nil
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	return fmt.Errorf("SPIFFE ID %s is not allowed: it matches none of %s", id, strings.Join(patterns, ", "))
}
