package check

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// The longest SPIFFE ID and the longest name of a trust domain, in bytes.
const (
	maxID          = 2048
	maxTrustDomain = 255
)

// checkID parses a SPIFFE ID. It returns why it is none, and the section that
// says so.
func checkID(s string) (id spiffeid.ID, section string, err error) {
	id, err = spiffeid.FromString(s)
	if err != nil {
		return spiffeid.ID{}, sectionOfID(s), err
	}
	if td := id.TrustDomain().Name(); len(s) > maxID || len(td) > maxTrustDomain {
		return spiffeid.ID{}, "SPIFFE-ID 2.3", fmt.Errorf("%d bytes long, and the trust domain %d: the most are %d and %d", len(s), len(td), maxID, maxTrustDomain)
	}
	return id, "", nil
}

// sectionOfID returns the section that a string breaks which is no SPIFFE ID.
func sectionOfID(s string) string {
	rest, ok := strings.CutPrefix(s, "spiffe://")
	if !ok || strings.ContainsAny(rest, "?#") {
		return "SPIFFE-ID 2" // scheme, query, fragment
	}
	name, _, _ := strings.Cut(rest, "/")
	if _, err := spiffeid.TrustDomainFromString(name); err != nil || name == "" {
		return "SPIFFE-ID 2.1"
	}
	return "SPIFFE-ID 2.2"
}

// isSPIFFE reports whether a URI means to be a SPIFFE ID.
func isSPIFFE(u *url.URL) bool { return strings.EqualFold(u.Scheme, "spiffe") }
