package encode

import (
	"fmt"
	"slices"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// foreign is what was made of the bundles of foreign trust domains.
type foreign struct {
	bundles []*x509bundle.Bundle
	picked  []int
	files   []writer.File
	made    map[foreignKey]writer.File
	whole   bool // none was left out
}

type foreignKey struct {
	bundle *x509bundle.Bundle
	name   string
}

// federatedUse is the use of the file of a foreign bundle.
var federatedUse = Use{Kind: snapshot.KindBundle}

// maxFederated bounds the files of foreign bundles, of which each SVID can have
// its own.
const maxFederated = 4096

// separate encodes a file for each foreign trust domain, or for each of them and
// each SVID that is in the set. While all are the same, it takes no more than to
// see that.
func (r *encoding) separate(sel Selection, answer *snapshot.X509) {
	want := &r.output.X509SVIDs[sel.Index]
	picked, encoded := r.picked[want]
	if want.Federated != FederatedSeparate || !want.FederatedFile.Wanted() || !encoded || r.dropped[sel] {
		return
	}
	if !want.FederatedFile.Has(PlaceIndex) {
		picked = []int{0}
	}
	last := r.foreign[want]
	// With other names from the answer, each has to be looked at.
	if r.varying == 1 && last.whole && slices.Equal(last.bundles, answer.Federated) && slices.Equal(last.picked, picked) && !want.OmitExpired {
		r.set.Files = append(r.set.Files, last.files...)
		r.set.Uses = append(r.set.Uses, slices.Repeat([]Use{federatedUse}, len(last.files))...)
		r.abroad[want] = last
		return
	}
	now := foreign{
		bundles: answer.Federated, picked: picked, whole: true,
		made: make(map[foreignKey]writer.File, len(answer.Federated)*len(picked)),
	}
	first := len(r.set.Files)
	for _, index := range picked {
		for n, b := range answer.Federated {
			err := r.separateFile(want, b, naming{trustDomain: b.TrustDomain(), index: index, n: n}, last, now)
			if err != nil {
				r.skip(fmt.Errorf("federated bundle of %.80s: %w", b.TrustDomain(), err))
				now.whole = false
			}
		}
	}
	now.files = slices.Clone(r.set.Files[first:])
	r.abroad[want] = now
}

// separateFile adds the file of one foreign trust domain, if there is one: to trust
// no authority and to have no file are the same.
func (r *encoding) separateFile(want *X509SVID, b *x509bundle.Bundle, by naming, last, now foreign) error {
	if len(now.made) >= maxFederated {
		return fmt.Errorf("there are more than %d such files", maxFederated)
	}
	spec, err := r.expand(want.FederatedFile, by)
	if err != nil {
		return err
	}
	key := foreignKey{b, spec.Name}
	f, same := last.made[key]
	if !same || want.OmitExpired {
		data, err := r.bundleOf(b, want.Encoding, want.OmitExpired)
		if err == errNothing {
			return nil
		}
		if err != nil {
			return err
		}
		f = r.file(spec, false, data)
	}
	now.made[key], r.set.Files, r.set.Uses = f, append(r.set.Files, f), append(r.set.Uses, federatedUse)
	return nil
}
