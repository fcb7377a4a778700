package encode

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Block is the kind of a block of an output that asks the Workload API for
// something, as the configuration names it. It is also the name of the profile
// that answers.
type Block string

// The blocks.
const (
	BlockX509SVID   Block = "x509_svid"
	BlockX509Bundle Block = "x509_bundle"
	BlockJWTSVID    Block = "jwt_svid"
	BlockJWTBundle  Block = "jwt_bundle"
	BlockWITSVID    Block = "wit_svid"
	BlockWITBundle  Block = "wit_bundle"
	// BlockSPIFFEBundle is answered by the three profiles of bundles.
	BlockSPIFFEBundle Block = "spiffe_bundle"
)

// kind is what the block gives, unless it is a BlockSPIFFEBundle.
func (b Block) kind() snapshot.Kind {
	switch b {
	case BlockX509SVID:
		return snapshot.KindX509
	case BlockX509Bundle:
		return snapshot.KindBundle
	case BlockJWTSVID, BlockJWTBundle:
		return snapshot.KindJWT
	}
	return snapshot.KindWIT
}

// kind is what a selection gives.
func (o *Output) kind(sel Selection) snapshot.Kind {
	if sel.Block == BlockSPIFFEBundle {
		return o.SPIFFEBundles[sel.Index].kind()
	}
	return sel.Block.kind()
}

// A Selection is one block of an output.
type Selection struct {
	Block Block
	Index int // among the blocks of that kind
}

// A Source is what answers a selection: a profile of the Workload API and, for
// BlockJWTSVID, a request.
type Source struct {
	Block   Block
	Request snapshot.JWTRequest
}

// Selections yields every block of the output.
func (o *Output) Selections() iter.Seq[Selection] {
	return func(yield func(Selection) bool) {
		for _, b := range []struct {
			block Block
			n     int
		}{
			{BlockX509SVID, len(o.X509SVIDs)}, {BlockX509Bundle, len(o.X509Bundles)}, {BlockJWTSVID, len(o.JWTSVIDs)},
			{BlockJWTBundle, len(o.JWTBundles)}, {BlockWITSVID, len(o.WITSVIDs)}, {BlockWITBundle, len(o.WITBundles)},
			{BlockSPIFFEBundle, len(o.SPIFFEBundles)},
		} {
			for i := range b.n {
				if !yield(Selection{b.block, i}) {
					return
				}
			}
		}
	}
}

// Sources returns what answers a selection.
func (o *Output) Sources(sel Selection) []Source {
	switch sel.Block {
	case BlockJWTSVID:
		return []Source{{sel.Block, o.JWTSVIDs[sel.Index].Request()}}
	case BlockSPIFFEBundle:
		var all []Source
		for _, a := range []struct {
			authority Authority
			block     Block
		}{{AuthorityX509, BlockX509Bundle}, {AuthorityJWT, BlockJWTBundle}, {AuthorityWIT, BlockWITBundle}} {
			if o.SPIFFEBundles[sel.Index].Has(a.authority) {
				all = append(all, Source{Block: a.block})
			}
		}
		return all
	}
	return []Source{{Block: sel.Block}}
}

// Describe says in words what a selection asks for.
func (o *Output) Describe(sel Selection) string {
	switch sel.Block {
	case BlockX509SVID:
		return describe("X.509-SVID", o.X509SVIDs[sel.Index].Select)
	case BlockX509Bundle:
		return "X.509 bundles"
	case BlockJWTSVID:
		j := &o.JWTSVIDs[sel.Index]
		return describe("JWT-SVID for "+strings.Join(j.Audience, ","), Selector{Hint: j.Hint, ID: j.ID})
	case BlockJWTBundle:
		return "JWT bundles"
	case BlockWITSVID:
		return describe("WIT-SVID", o.WITSVIDs[sel.Index].Select)
	case BlockSPIFFEBundle:
		return "SPIFFE bundles"
	case BlockTemplate:
		return fmt.Sprintf("template %q", o.Templates[sel.Index].File.Name)
	}
	return "WIT bundles"
}

// files are the files that a selection can name, placeholders included.
func (o *Output) files(sel Selection) []FileSpec {
	switch sel.Block {
	case BlockTemplate:
		return []FileSpec{o.Templates[sel.Index].File}
	case BlockX509SVID:
		return o.X509SVIDs[sel.Index].files()
	case BlockX509Bundle:
		return []FileSpec{o.X509Bundles[sel.Index].File}
	case BlockJWTSVID:
		return []FileSpec{o.JWTSVIDs[sel.Index].File}
	case BlockJWTBundle:
		return []FileSpec{o.JWTBundles[sel.Index].File}
	case BlockWITSVID:
		return []FileSpec{o.WITSVIDs[sel.Index].Token, o.WITSVIDs[sel.Index].Key}
	case BlockSPIFFEBundle:
		return []FileSpec{o.SPIFFEBundles[sel.Index].File}
	}
	return []FileSpec{o.WITBundles[sel.Index].File}
}

// SelectionOf returns the selection that a file on disk belongs to, if any.
func (o *Output) SelectionOf(name string) (found Selection, ok bool) {
	for i, t := range o.Templates {
		if t.File.Name == name {
			return Selection{BlockTemplate, i}, true
		}
	}
	for sel := range o.Selections() {
		for _, f := range o.files(sel) {
			switch {
			case !f.Matches(name):
			case !f.Varies(): // no answer can take a configured name
				return sel, true
			case !ok:
				found, ok = sel, true
			}
		}
	}
	return found, ok
}

// Kinds are the kinds of material that the output asks for.
func (o *Output) Kinds() snapshot.Kind {
	kinds := snapshot.KindNone
	for sel := range o.Selections() {
		kinds |= o.kind(sel)
	}
	return kinds
}

// A Gap is what an output asks for and a snapshot does not give.
type Gap struct {
	Selection Selection
	Kind      snapshot.Kind
	// What names it in words.
	What string
	// Files are those that stay on disk.
	Files []FileSpec
	// ID is the SPIFFE ID of an SVID that was received and cannot be used, if it is
	// known.
	ID spiffeid.ID
	// Absent says that a good answer lacks it: it was withdrawn, or never given.
	// Otherwise it has not been received yet (Err is nil), or Err says why what was
	// received cannot be used.
	Absent bool
	Err    error
}

func (g Gap) String() string {
	if g.Err != nil {
		return fmt.Sprintf("%s (%v)", g.What, g.Err)
	}
	return g.What
}

// gap notes that a selection is not in the set; what is on disk stays, unless the
// selection is dropped.
func (r *encoding) gap(sel Selection, absent bool, err error) {
	g := Gap{Selection: sel, Kind: r.output.kind(sel), What: r.output.Describe(sel), Absent: absent, Err: err}
	var bad *refusedError
	if errors.As(err, &bad) {
		g.ID = bad.ID
	}
	if !r.dropped[sel] {
		for _, f := range r.output.files(sel) {
			if f.Wanted() {
				g.Files = append(g.Files, f)
			}
		}
	}
	r.set.Gaps = append(r.set.Gaps, g)
}

// each encodes the blocks of one kind, one by one: what is wrong with one is a
// gap, and no other block's affair.
func (r *encoding) each(block Block, n int, received bool, encode func(sel Selection) (absent bool, err error)) {
	for i := range n {
		sel := Selection{block, i}
		if !received {
			r.gap(sel, false, nil)
			continue
		}
		files, identities := len(r.set.Files), len(r.set.Identities)
		absent, err := encode(sel)
		if r.dropped[sel] && slices.ContainsFunc(r.set.Identities[identities:], func(id Identity) bool { return id.Stale }) {
			absent, err = false, errStale
		}
		if err != nil || r.dropped[sel] {
			r.set.Files, r.set.Uses = r.set.Files[:files], r.set.Uses[:files]
			r.set.Identities = r.set.Identities[:identities]
		}
		if err != nil {
			r.gap(sel, absent, err)
		}
	}
}

// errStale is why a dropped selection stays so: the last good SVID is from before
// it was dropped.
var errStale = errors.New("the Workload API's SVID is refused, and the one before was withdrawn")

// lack notes something that a bundle's file lacks. Nothing is kept for it: an
// authority that is gone must not be trusted any more.
func (r *encoding) lack(sel Selection, what string) {
	r.set.Gaps = append(r.set.Gaps, Gap{Selection: sel, Kind: r.output.kind(sel), What: what})
}

// one encodes one of the identities that a selector picked. Where it picks all,
// an identity that cannot be encoded is left out by itself.
func (r *encoding) one(s Selector, c candidate, encode func() error) error {
	files, identities := len(r.set.Files), len(r.set.Identities)
	err := encode()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", c.id(), err)
	if !s.All {
		return err
	}
	r.set.Files, r.set.Uses = r.set.Files[:files], r.set.Uses[:files]
	r.set.Identities = r.set.Identities[:identities]
	r.skip(err)
	return nil
}

// What bounds Set.Skipped: how many it says one by one, and how long each is.
const (
	maxSkipped  = 10
	longSkipped = 300
)

func (r *encoding) skip(err error) {
	switch n := len(r.set.Skipped); {
	case n < maxSkipped:
		r.set.Skipped = append(r.set.Skipped, fmt.Sprintf("%.*s", longSkipped, err))
	case n == maxSkipped:
		r.set.Skipped = append(r.set.Skipped, "and more")
	}
}

// A refusedError is an SVID that is in an answer, and failed a check.
type refusedError struct{ snapshot.Refused }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the Workload API's SVID is refused: %v", e.Why)
}

func (e *refusedError) Unwrap() error { return e.Why }

// refusedIn returns why an SVID that a selector might want is not among the good
// ones of an answer: it is there, and failed a check. That is no withdrawal.
func refusedIn(refused []snapshot.Refused, s Selector) error {
	for i, r := range refused {
		first := s == Selector{} && i == 0
		if first || s != (Selector{}) && (s.ID.IsZero() || r.ID.IsZero() || r.ID == s.ID) && (s.Hint == "" || r.HintUnknown || r.Hint == s.Hint) {
			return &refusedError{r}
		}
	}
	return nil
}
