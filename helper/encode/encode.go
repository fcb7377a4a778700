package encode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/companion"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// Encode returns the files that an output holds when the Workload API has said
// what is in the snapshot. The same snapshot gives the same bytes, salts
// included, but for the sequence number of a SPIFFE bundle. It reads nothing but the
// clock, where expired authorities are left out or a sequence begins, and a
// keystore's password file.
//
// Each block of the output stands alone (see Set.Gaps): what one of them asks
// for and the snapshot does not give, or cannot be encoded, changes no other
// block's files.
func Encode(s *snapshot.Snapshot, o *Output) Set {
	return NewEncoder(o, unpublished).Encode(s, nil)
}

// unpublished has nothing been published before.
func unpublished(string) ([]byte, error) { return nil, fs.ErrNotExist }

// An Encoder encodes one snapshot after the other for the same output. It
// remembers the bytes of what did not change, so that a new snapshot costs what
// is new in it. It is not safe for concurrent use.
type Encoder struct {
	output   *Output
	memo     memo
	foreign  map[*X509SVID]foreign
	varying  int // names that only an answer tells
	size     int // of the last set, in files
	now      func() time.Time
	readFile func(name string) ([]byte, error)
	// published reads a file of the output as it was last published.
	published func(name string) ([]byte, error)
	parsed    []*companion.Template // of the output's templates
}

// NewEncoder returns an Encoder for an output, which must not change any more.
// published reads a file that was published before, so that the sequence number of a
// SPIFFE bundle goes on from there.
func NewEncoder(o *Output, published func(name string) ([]byte, error)) *Encoder {
	e := &Encoder{output: o, now: time.Now, readFile: os.ReadFile, published: published}
	for f := range o.uses() {
		if f.Varies() {
			e.varying++
		}
	}
	return e
}

// Ages reports whether the same snapshot can give other files later.
func (e *Encoder) Ages() bool {
	return slices.ContainsFunc(e.output.X509SVIDs, func(x X509SVID) bool { return x.OmitExpired })
}

// Encode is as the function Encode. The files of the selections in dropped are
// neither in the set nor kept.
func (e *Encoder) Encode(s *snapshot.Snapshot, dropped map[Selection]bool) Set {
	if s == nil {
		s = &snapshot.Snapshot{}
	}
	r := &encoding{Encoder: e, now: e.now(), dropped: dropped, recent: make(memo, len(e.memo)), abroad: map[*X509SVID]foreign{}, picked: map[*X509SVID][]int{}}
	r.set.Files = make([]writer.File, 0, e.size)
	r.set.Uses = make([]Use, 0, e.size)
	o := e.output
	// Our own SVIDs take their names first: no foreign trust domain takes one away.
	r.each(BlockX509SVID, len(o.X509SVIDs), s.X509 != nil, func(sel Selection) (bool, error) { return r.x509SVID(sel, s.X509) })
	r.each(BlockJWTSVID, len(o.JWTSVIDs), true, func(sel Selection) (bool, error) { return r.jwtSVID(sel, s.JWTSVIDs) })
	r.each(BlockWITSVID, len(o.WITSVIDs), s.WIT != nil, func(sel Selection) (bool, error) { return r.witSVIDs(sel, s.WIT) })
	for i := range o.X509SVIDs {
		r.separate(Selection{BlockX509SVID, i}, s.X509)
	}
	r.each(BlockX509Bundle, len(o.X509Bundles), s.X509Bundles != nil, func(sel Selection) (bool, error) { return r.x509Bundle(sel, s.X509Bundles) })
	r.each(BlockJWTBundle, len(o.JWTBundles), s.JWTBundles != nil, func(sel Selection) (bool, error) { return r.jwtBundle(sel, s.JWTBundles) })
	r.each(BlockWITBundle, len(o.WITBundles), s.WITBundles != nil, func(sel Selection) (bool, error) { return r.witBundle(sel, s.WITBundles) })
	r.each(BlockSPIFFEBundle, len(o.SPIFFEBundles), true, func(sel Selection) (bool, error) { return r.spiffeBundle(sel, s) })
	r.templates(s)
	r.manifest()
	e.memo, e.foreign, e.size = r.recent, r.abroad, len(r.set.Files)
	return r.set
}

// An encoding is one call of Encode.
type encoding struct {
	*Encoder
	now     time.Time
	dropped map[Selection]bool
	set     Set
	taken   writer.Names // names of files; nil: not needed so far
	// Which of the SVIDs selected are in the set, by their numbers.
	picked map[*X509SVID][]int
	// What this call used, for the next one.
	recent memo
	abroad map[*X509SVID]foreign
}

// claim takes a name that an answer has made, unless another file has it or no
// file can have it.
func (r *encoding) claim(name string) error {
	if r.taken == nil {
		r.taken = writer.Names{}
		for f := range r.output.uses() {
			if !f.Varies() {
				_ = r.taken.Take(f.Name) // Check has seen to it that they differ
			}
		}
	}
	if err := writer.CheckName(name); err != nil {
		return err
	}
	return r.taken.Take(name)
}

// add puts a file in the set.
func (r *encoding) add(f FileSpec, kind snapshot.Kind, private bool, data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("there is nothing to put in %q, and no file is ever empty", f.Name)
	}
	r.set.Files = append(r.set.Files, r.file(f, private, data))
	r.set.Uses = append(r.set.Uses, Use{kind, private})
	return nil
}

// file is a file as the writer has it.
func (r *encoding) file(f FileSpec, private bool, data []byte) writer.File {
	return writer.File{Name: f.Name, Data: data, Mode: r.output.Mode(f, private), Owner: f.Owner, Group: f.Group}
}

// Mode is the mode of a file: its own, else the output's, else the default.
func (o *Output) Mode(f FileSpec, private bool) fs.FileMode {
	switch {
	case f.Mode != 0:
		return f.Mode.Perm()
	case private && o.KeyMode != 0:
		return o.KeyMode.Perm()
	case private:
		return 0o600
	case o.FileMode != 0:
		return o.FileMode.Perm()
	}
	return 0o644
}

// candidate is an SVID as a Selector sees it.
type candidate interface {
	id() spiffeid.ID
	hint() string
}

// pick returns the SVIDs that a selector wants.
func pick[T candidate](what string, all []T, s Selector) ([]T, error) {
	var picked []T
	for _, c := range all {
		if (s.Hint == "" || c.hint() == s.Hint) && (s.ID.IsZero() || c.id() == s.ID) {
			picked = append(picked, c)
			if !s.All {
				break
			}
		}
	}
	if len(picked) > 0 {
		return picked, nil
	}
	return nil, fmt.Errorf("no %s: the Workload API gave %s", describe(what, s), list(all))
}

// describe says in words what a selector selects.
func describe(what string, s Selector) string {
	if s.Hint != "" {
		what += fmt.Sprintf(" with hint %q", s.Hint)
	}
	if !s.ID.IsZero() {
		what += " with SPIFFE ID " + s.ID.String()
	}
	return what
}

// list says in words what there is to select from.
func list[T candidate](all []T) string {
	const most = 10
	var words []string
	for _, c := range all[:min(len(all), most)] {
		if c.hint() == "" {
			words = append(words, c.id().String()+" without hint")
		} else {
			words = append(words, fmt.Sprintf("%s with hint %.80q", c.id(), c.hint()))
		}
	}
	switch {
	case len(all) == 0:
		return "none"
	case len(all) > most:
		words = append(words, fmt.Sprintf("%d more", len(all)-most))
	}
	return strings.Join(words, ", ")
}

// memo holds what was encoded, by what it is for. The values it was made from
// are pointers into the snapshot, and those stay the same while nothing changes.
type memo map[memoKey]memoEntry

type memoKey struct{ form, name string }

type memoEntry struct {
	from []any
	data []byte
}

// recall returns what encode returned when it was last called under this key
// with the same values, or calls it.
func (r *encoding) recall(form, name string, from []any, encode func() ([]byte, error)) ([]byte, error) {
	key := memoKey{form, name}
	entry, ok := r.memo[key]
	if !ok || !slices.Equal(entry.from, from) {
		data, err := encode()
		if err != nil {
			return nil, err
		}
		entry = memoEntry{from, data}
	}
	r.recent[key] = entry
	return entry.data, nil
}

// errNothing says that a file would be empty.
var errNothing = errors.New("nothing to write")
