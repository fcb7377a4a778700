// Package snapshot holds the immutable value that flows through svidhelper:
// what the Workload API last said, after it has been checked.
//
// It promises that everything in a Snapshot was valid when it was taken: a
// private key belongs to its leaf, a chain verifies against the bundle beside
// it, a token names the trust domain and audience that it was asked for, and no
// time lies beyond the year 9999. It also promises identity: a part that did not
// change between two snapshots is the same pointer in both, so that the encoder
// can skip it.
//
// Each identity stands alone. An SVID that failed a check is listed as refused.
// The last good SVID of the same identity stays in its place, if there was one.
// So the absence of an identity, beside no refusal that could be its own, means
// that the Workload API has withdrawn it.
//
// It does not promise that anything is still valid: time goes on, and a reader
// that needs to know compares the expiry with its clock.
//
// A Snapshot, and all that it points to, never changes.
package snapshot

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// A Snapshot is what the Workload API last said, profile by profile. A nil
// part has not been received yet, or is not wanted by any output.
type Snapshot struct {
	// X509 is the last good answer of FetchX509SVID (Workload API 5.2.1).
	X509 *X509
	// X509Bundles is the last good answer of FetchX509Bundles (5.2.2).
	X509Bundles *X509Bundles
	// JWTSVIDs has the selected token of each request's last good answer
	// of FetchJWTSVID (6.2.1). A request without an answer is absent.
	JWTSVIDs map[JWTRequest]*JWTSVID
	// JWTBundles is the last good answer of FetchJWTBundles (6.2.2).
	JWTBundles *JWTBundles
	// WIT is the last good answer of FetchWITSVID.
	WIT *WIT
	// WITBundles is the last good answer of FetchWITBundles.
	WITBundles *WITBundles
}

// X509 is the last good answer of the X.509-SVID profile. It always has at least
// one SVID.
type X509 struct {
	// SVIDs are in the order of the answer. Those that are Stale are the last
	// good ones of identities whose present SVID is refused.
	SVIDs []X509SVID
	// DefaultRefused says that the first SVID of the answer was refused, and that
	// there is no good one of its identity.
	DefaultRefused bool
	// Refused are the SVIDs of the answer that failed a check.
	Refused []Refused
	// Federated holds the bundles of foreign trust domains, in the order of
	// their names.
	Federated []*x509bundle.Bundle
	// CRLs are certificate revocation lists, in the order of the answer.
	CRLs []*x509.RevocationList
}

// An X509SVID is an X.509-SVID (leaf first, then intermediates), its private
// key, its hint, and the bundle of its own trust domain.
type X509SVID struct {
	*x509svid.SVID
	Bundle *x509bundle.Bundle
	// Stale says that the Workload API has a newer SVID of this identity, which
	// was refused.
	Stale bool
}

// Default returns the default identity, the first of the answer (Workload API
// 5.3), or nil: the default is never another identity because the first is bad.
func (x *X509) Default() *X509SVID {
	if x.DefaultRefused {
		return nil
	}
	return &x.SVIDs[0]
}

// X509Bundles is one answer of FetchX509Bundles.
type X509Bundles struct {
	// Bundles are in the order of their trust domains' names.
	Bundles []*x509bundle.Bundle
	CRLs    []*x509.RevocationList
}

// JWTBundles is one answer of FetchJWTBundles.
type JWTBundles struct {
	// Bundles are in the order of their trust domains' names.
	Bundles []*jwtbundle.Bundle
}

// WIT is the last good answer of the WIT-SVID profile. It always has at least
// one SVID, and every SVID has its private key.
type WIT struct {
	// SVIDs are in the order of the answer, Stale ones included.
	SVIDs []*WITSVID
	// DefaultRefused is as in X509.
	DefaultRefused bool
	// Refused are the SVIDs of the answer that failed a check.
	Refused []Refused
}

// Default is as in X509.
func (w *WIT) Default() *WITSVID {
	if w.DefaultRefused {
		return nil
	}
	return w.SVIDs[0]
}

// WITBundles is one answer of FetchWITBundles.
type WITBundles struct {
	// Bundles are in the order of their trust domains' names.
	Bundles []*witbundle.Bundle
}

// A Refused is an SVID of an answer that failed a check.
type Refused struct {
	// ID is the SPIFFE ID as the answer names it; zero if that is none.
	ID spiffeid.ID
	// Hint is its hint. HintUnknown says that it could be any, because the one in
	// the answer was too long.
	Hint        string
	HintUnknown bool
	// Why is the reason, fit for a log.
	Why error
}

// Could reports whether the refused SVID could be that of an identity. What the
// answer did not say legibly could be anything.
func (r Refused) Could(id spiffeid.ID, hint string) bool {
	return (r.ID.IsZero() || r.ID == id) && (r.HintUnknown || r.Hint == hint)
}

// A JWTRequest says which JWT-SVID an output wants. It is comparable, so that
// two outputs that want the same token share one.
type JWTRequest struct {
	audience string // joined by separator
	// ID, unless zero, asks for the token of that SPIFFE ID.
	ID spiffeid.ID
	// Hint, unless empty, selects among the tokens of the answer; otherwise
	// the first is taken.
	Hint string
}

// separator cannot occur in a UTF-8 string, which every protobuf string is.
const separator = "\xff"

// NewJWTRequest returns the request for a token with the given audiences, in
// that order. There must be at least one, and none may be empty.
func NewJWTRequest(audience []string, id spiffeid.ID, hint string) JWTRequest {
	return JWTRequest{audience: strings.Join(audience, separator), ID: id, Hint: hint}
}

// Audience returns the audiences of the request.
func (r JWTRequest) Audience() []string { return strings.Split(r.audience, separator) }

// String returns the audiences as a person would write them, for logs.
func (r JWTRequest) String() string { return strings.Join(r.Audience(), ",") }

// Compare orders requests for stable logs and status.
func (r JWTRequest) Compare(o JWTRequest) int {
	return slices.Compare(
		[]string{r.audience, r.ID.String(), r.Hint},
		[]string{o.audience, o.ID.String(), o.Hint})
}
