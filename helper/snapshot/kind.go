package snapshot

import "strings"

// Kind is a set of kinds of material. What changed in a publish, and what a
// target wants to hear of, are each a Kind.
type Kind uint8

// The kinds of material that an output can hold.
const (
	KindX509   Kind = 1 << iota // X.509-SVIDs and their keys
	KindBundle                  // X.509 bundles and CRLs
	KindJWT                     // JWT-SVIDs and JWT bundles
	KindWIT                     // WIT-SVIDs, their keys, and WIT bundles

	KindNone Kind = 0
)

var kindNames = []struct {
	kind Kind
	name string
}{{KindX509, "x509"}, {KindBundle, "bundle"}, {KindJWT, "jwt"}, {KindWIT, "wit"}}

// Names returns the names of the kinds in the set, in a fixed order.
func (k Kind) Names() []string {
	var names []string
	for _, kn := range kindNames {
		if k&kn.kind != 0 {
			names = append(names, kn.name)
		}
	}
	return names
}

// String returns the names joined by commas, or "none".
func (k Kind) String() string {
	if k == KindNone {
		return "none"
	}
	return strings.Join(k.Names(), ",")
}

// Has reports whether the two sets share a kind.
func (k Kind) Has(o Kind) bool { return k&o != 0 }
