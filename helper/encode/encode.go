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
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// Encode returns the files that an output holds when the Workload API has said
// what is in the snapshot. The same snapshot gives the same bytes, salts
// included. It reads nothing but the clock, where expired authorities are left
// out, and a keystore's password file.
//
// An error means that the snapshot cannot satisfy the output: no SVID has the
// hint or the SPIFFE ID it asks for, one is not allowed, or two files would
// have the same name. What has not been received yet is no error; the set says
// what it awaits.
func Encode(s *snapshot.Snapshot, o *Output) (Set, error) {
	return NewEncoder(o).Encode(s)
}

// An Encoder encodes one snapshot after the other for the same output. It
// remembers the bytes of what did not change, so that a new snapshot costs what
// is new in it. It is not safe for concurrent use.
type Encoder struct {
	output   *Output
	memo     memo
	foreign  map[*X509SVID]foreign
	names    []string // of the files of the last set
	now      func() time.Time
	readFile func(name string) ([]byte, error)
}

// NewEncoder returns an Encoder for an output, which must not change any more.
func NewEncoder(o *Output) *Encoder {
	return &Encoder{output: o, now: time.Now, readFile: os.ReadFile}
}

// Encode is as the function Encode.
func (e *Encoder) Encode(s *snapshot.Snapshot) (Set, error) {
	if s == nil {
		s = &snapshot.Snapshot{}
	}
	r := &encoding{Encoder: e, now: e.now(), recent: make(memo, len(e.memo)), abroad: map[*X509SVID]foreign{}}
	r.set.Files = make([]writer.File, 0, len(e.names))
	r.set.Uses = make([]Use, 0, len(e.names))
	for _, step := range []func(*snapshot.Snapshot) error{
		r.x509SVIDs, r.x509Bundles, r.jwtSVIDs, r.jwtBundles, r.witSVIDs, r.witBundles, r.manifest,
	} {
		if err := step(s); err != nil {
			return Set{}, err
		}
	}
	if err := r.checkNames(); err != nil {
		return Set{}, err
	}
	e.memo, e.foreign = r.recent, r.abroad
	return r.set, nil
}

// An encoding is one call of Encode.
type encoding struct {
	*Encoder
	now time.Time
	set Set
	// What this call used, for the next one.
	recent memo
	abroad map[*X509SVID]foreign
}

// checkNames checks the names of all files, unless they are those of the last
// set.
func (r *encoding) checkNames() error {
	if slices.EqualFunc(r.set.Files, r.names, func(f writer.File, name string) bool { return f.Name == name }) {
		return nil
	}
	all := make([]string, len(r.set.Files))
	for i, f := range r.set.Files {
		all[i] = f.Name
	}
	if err := writer.CheckNames(all); err != nil {
		return err
	}
	r.names = all
	return nil
}

// add puts a file in the set.
func (r *encoding) add(f FileSpec, kind snapshot.Kind, private bool, data []byte) error {
	if len(data) == 0 {
		return fmt.Errorf("there is nothing to put in %q, and no file is ever empty", f.Name)
	}
	r.set.Files = append(r.set.Files, writer.File{
		Name: f.Name, Data: data, Mode: r.output.mode(f, private), Owner: f.Owner, Group: f.Group,
	})
	r.set.Uses = append(r.set.Uses, Use{kind, private})
	return nil
}

// mode is the mode of a file: its own, else the output's, else the default.
func (o *Output) mode(f FileSpec, private bool) fs.FileMode {
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

// await notes that files wait for material that is not there yet.
func (r *encoding) await(kind snapshot.Kind, what string, files ...FileSpec) {
	r.set.Awaited = append(r.set.Awaited, what)
	r.set.AwaitedKinds |= kind
	for _, f := range files {
		if f.Wanted() {
			r.set.Keep = append(r.set.Keep, f.Name)
		}
	}
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
