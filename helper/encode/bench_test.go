package encode

import (
	"fmt"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// BenchmarkEncode is the encoding of one new SVID, alone and beside unchanged
// bundles of other trust domains in every form.
func BenchmarkEncode(b *testing.B) {
	for _, federated := range []int{0, 1000} {
		for _, form := range []Federated{FederatedSeparate, FederatedMerge} {
			b.Run(fmt.Sprintf("%s/federated=%d", form, federated), func(b *testing.B) {
				o := trio()
				o.X509SVIDs[0].Federated = form
				o.X509SVIDs[0].FederatedFile.Name = "fed-{trust_domain}.pem"
				a := newAuthority(b, "example.org")
				bundles := foreignBundles(a, federated)
				two := []*snapshot.Snapshot{a.answer(b, bundles...), a.answer(b, bundles...)}
				two[1].X509.SVIDs[0].Bundle = two[0].X509.SVIDs[0].Bundle
				e := NewEncoder(o, unpublished)
				for i := 0; b.Loop(); i++ {
					if set := e.Encode(two[i%2], nil); len(set.Gaps) > 0 {
						b.Fatal(set.Gaps)
					}
				}
			})
		}
	}
}

// foreignBundles are bundles of trust domains that share one authority, which
// is enough for a bench.
func foreignBundles(a *authority, n int) (bundles []*x509bundle.Bundle) {
	for i := range n {
		foreign := *a
		foreign.td = td(fmt.Sprintf("td%04d.example", i))
		bundles = append(bundles, foreign.bundle())
	}
	return bundles
}
