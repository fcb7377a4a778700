package publish

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/ask"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/trust"
	"github.com/svidhelper/svidhelper/writer"
)

// An output is one directory and what the publisher knows about it. The publisher
// alone touches it.
type output struct {
	spec    encode.Output
	dir     *writer.Dir // nil: it could not be opened yet
	encoder *encode.Encoder
	log     *slog.Logger
	events  *events.Stream

	last      *snapshot.Snapshot               // what set was made from
	set       encode.Set                       // what was last asked to be on disk
	keptFiles map[string]bool                  // on disk, whole, and not in set
	kept      []encode.Identity                // those in keptFiles
	known     map[encode.Selection]spiffeid.ID // that each selection had last
	standings map[encode.Selection]*standing
	dropped   map[encode.Selection]bool // leave the disk
	skipped   string                    // what the log last said was left out
	several   bool                      // the log says that the default is one of several
	shown     bool                      // the log says what is on disk
	asked     bool                      // a socket was made, or could not be
	asking    *ask.Server               // nil: there is none

	trust       *trust.State    // of what is on disk
	awaits      *arrival        // of the authorities that it added last; nil: not known yet
	waiting     []trust.Waiting // the leaves that wait for their authority
	recollected bool            // what an earlier run has left was looked at

	terms    map[encode.Selection]term // of what is on disk
	termsOf  time.Time                 // of the publish that terms are of
	nextTerm time.Time                 // when one of them enters another stage

	fingerprint string                      // of spec
	note        *note                       // beside the set; nil: not read yet
	sums        map[*byte][sha256.Size]byte // of files, by their memory

	err       error              // why the last snapshot is not on disk, or nil
	problem   string             // what of it could not be encoded; empty: nothing
	published time.Time          // when the last snapshot was last found on disk
	rotations uint64             // publishes that changed something
	failures  map[string]uint64  // by reason: "encode" or "publish"
	counted   map[Refused]uint64 // refusals so far
	unusable  map[Refused]bool   // what of the last snapshot could not be encoded
}

func newOutput(spec encode.Output, e *events.Stream, log *slog.Logger) *output {
	o := &output{
		spec:        spec,
		fingerprint: encode.Fingerprint(&spec),
		log:         log.With("output", spec.Dir),
		events:      e,
		known:       map[encode.Selection]spiffeid.ID{},
		standings:   map[encode.Selection]*standing{},
		dropped:     map[encode.Selection]bool{},
		failures:    map[string]uint64{"encode": 0, "publish": 0},
		sums:        map[*byte][sha256.Size]byte{},
	}
	o.encoder = encode.NewEncoder(&spec, o.read)
	return o
}

// read returns a published file.
func (o *output) read(name string) ([]byte, error) {
	if o.dir == nil {
		return nil, fs.ErrNotExist
	}
	return o.dir.Read(name)
}

// open opens the directory, unless it is open.
func (o *output) open() error {
	if o.dir != nil {
		return nil
	}
	dir, err := writer.Open(o.spec.Spec, o.log)
	if err != nil {
		o.failed("publish", err)
		return err
	}
	o.dir = dir
	if o.err != nil {
		o.recovered()
	}
	for _, w := range slices.Concat(encode.Warnings(&o.spec), encode.WarningsHere(&o.spec)) {
		o.log.Warn(w)
	}
	return nil
}

func (o *output) close() error {
	if o.dir == nil {
		return nil
	}
	o.unlisten() // while the lock says that the socket is ours
	dir := o.dir
	o.dir = nil
	return dir.Close()
}

// publish puts the snapshot on disk and adds what that changed to c. What the
// snapshot lacks stays as it is on disk, unless it is dropped. A failure is
// remembered and leaves the last good set. Without force, the snapshot that is on
// disk already is not looked at again.
func (o *output) publish(s *snapshot.Snapshot, force bool, c *Change) {
	if o.open() != nil || s == nil && len(o.dropped) == 0 {
		return
	}
	if !force && s == o.last && o.err == nil && !o.encoder.Ages() {
		c.OnDisk = append(c.OnDisk, o.svids(s)...)
		return
	}
	set := o.encoder.Encode(s, o.dropped)
	o.publishing()
	change, err := o.dir.Publish(set.Files, set.Keeps())
	if err != nil {
		o.failed("publish", err)
		return
	}
	change = o.removed(change)
	o.warnOfDefault(s, set)
	before := o.identities()
	o.accept(s, set)
	if len(set.Gaps) == 0 {
		o.completed()
	}
	o.say(set)
	if o.err != nil {
		o.recovered()
	}
	c.OnDisk = append(c.OnDisk, o.svids(s)...)
	changed, gone := set.Kinds(change, &o.spec)
	kinds := changed | gone
	if kinds != snapshot.KindNone {
		o.rotations++
		files := slices.Sorted(slices.Values(slices.Concat(change.Changed, change.Removed)))
		part := OutputChange{Dir: o.spec.Dir, Kinds: kinds, Files: files, Identities: of(kinds, set.Identities), Before: of(kinds, before)}
		c.Kinds |= kinds
		c.Outputs = append(c.Outputs, part)
		c.of = append(c.of, o)
	}
	o.show(kinds)
}

// show logs, once, the SVIDs that were on disk before the first publish, and whose
// kinds it did not change.
func (o *output) show(changed snapshot.Kind) {
	if o.shown {
		return
	}
	o.shown = true
	for _, id := range o.identities() {
		if !changed.Has(id.Kind) {
			o.log.Info("on disk already", append(identityAttrs(id), "expires", id.NotAfter)...)
		}
	}
}

// identityAttrs say in a log which SVID is meant.
func identityAttrs(id encode.Identity) []any {
	attrs := []any{"spiffe_id", id.ID.String()}
	if id.Serial != "" {
		attrs = append(attrs, "serial", id.Serial)
	}
	if len(id.Audience) > 0 {
		attrs = append(attrs, "audience", strings.Join(id.Audience, ","))
	}
	return attrs
}

// accept takes a set for what is on disk.
func (o *output) accept(s *snapshot.Snapshot, set encode.Set) {
	before := o.identities()
	kept := map[string]bool{}
	if len(set.Gaps) > 0 {
		keeps := set.Keeps()
		for name := range o.keptFiles {
			kept[name] = keeps(name)
		}
		for _, f := range o.set.Files {
			kept[f.Name] = keeps(f.Name)
		}
	}
	o.kept = nil
	for _, id := range before {
		if len(id.Files) > 0 && !slices.ContainsFunc(id.Files, func(name string) bool { return !kept[name] }) {
			o.kept = append(o.kept, id)
		}
	}
	for _, id := range set.Identities {
		o.known[id.Selection] = id.ID
	}
	for _, g := range set.Gaps {
		if !g.ID.IsZero() {
			o.known[g.Selection] = g.ID
		}
	}
	o.last, o.set, o.keptFiles, o.published = s, set, kept, time.Now()
}

// identities are the SVIDs on disk.
func (o *output) identities() []encode.Identity {
	if len(o.kept) == 0 {
		return o.set.Identities
	}
	return slices.Concat(o.set.Identities, o.kept)
}

// missing are the kinds of what is configured and not on disk.
func (o *output) missing() snapshot.Kind {
	kinds := snapshot.KindNone
	if o.dir == nil || o.published.IsZero() {
		return o.spec.Kinds()
	}
	for _, g := range o.set.Gaps {
		if !o.has(g) {
			kinds |= g.Kind
		}
	}
	return kinds
}

// has reports whether what a snapshot does not give is on disk all the same.
func (o *output) has(g encode.Gap) bool {
	if len(g.Files) == 0 || o.dropped[g.Selection] {
		return false
	}
	return !slices.ContainsFunc(g.Files, func(f encode.FileSpec) bool { return !o.keeps(f) })
}

// keeps reports whether a file that the last set lacks has stayed on disk.
func (o *output) keeps(f encode.FileSpec) bool {
	if !f.Varies() {
		return o.keptFiles[f.Name]
	}
	for name, kept := range o.keptFiles {
		if kept && f.Matches(name) {
			return true
		}
	}
	return false
}

// say remembers and logs what of a snapshot could not be encoded: what is on disk
// stays. What a good answer lacks is for judge.
func (o *output) say(set encode.Set) {
	var problems []string
	unusable := map[Refused]bool{}
	for _, g := range set.Gaps {
		if g.Err != nil && !g.Absent {
			problems = append(problems, g.String())
			unusable[Refused{o.spec.Describe(g.Selection), reasonOf(g.Err)}] = true
		}
	}
	for r := range unusable {
		if !o.unusable[r] {
			o.countRefusal(r)
		}
	}
	o.unusable = unusable
	problem := strings.Join(problems, ", ")
	if problem != "" {
		o.failures["encode"]++
		if problem != o.problem {
			o.log.Error("not published, what is on disk stays", "error", problem)
			o.events.Note(events.Event{Event: events.Failed, Failed: "encode", Output: o.spec.Dir, Error: problem})
		}
	}
	o.problem = problem
	if skipped := strings.Join(set.Skipped, ", "); skipped != o.skipped {
		o.skipped = skipped
		if skipped != "" {
			o.log.Warn("left out, for the file names that they would have", "skipped", skipped)
		}
	}
}

// failed remembers an error, and logs it unless it is the one before again.
func (o *output) failed(reason string, err error) {
	if o.err == nil || o.err.Error() != err.Error() {
		o.log.Error("not published, what is on disk stays", "error", err)
		o.events.Note(events.Event{Event: events.Failed, Failed: reason, Output: o.spec.Dir, Error: err.Error()})
	}
	o.err = err
	o.failures[reason]++
}

func (o *output) recovered() {
	o.log.Info("recovered: the output is on disk again")
	o.err = nil
}

// announce logs a publish: a line for each identity with a file that changed, with
// its serial number before and now, and the targets that are told. There may be a
// thousand tokens, each of them renewed alone.
func (o *output) announce(c OutputChange, targets []string, took time.Duration) {
	changed := make(map[string]bool, len(c.Files))
	for _, name := range c.Files {
		changed[name] = true
	}
	before := make(map[encode.Selection]string, len(c.Before))
	for _, id := range c.Before {
		before[id.Selection] = id.Serial
	}
	end := []any{"ms", float64(took.Microseconds()) / 1000}
	if len(targets) > 0 {
		end = append(end, "targets", targets)
	}
	said := false
	for _, id := range c.Identities {
		files := slices.DeleteFunc(slices.Clone(id.Files), func(name string) bool { return !changed[name] })
		if len(files) == 0 {
			continue
		}
		said = true
		attrs := append([]any{"changed", c.Kinds.String()}, identityAttrs(id)...)
		if was := before[id.Selection]; was != "" && was != id.Serial {
			attrs = append(attrs, "replaces", was)
		}
		attrs = append(attrs, "expires", id.NotAfter.UTC(), "files", files)
		o.log.Info("published", append(attrs, end...)...)
	}
	if !said {
		o.log.Info("published", append([]any{"changed", c.Kinds.String(), "files", c.Files}, end...)...)
	}
}

// svids are the X.509-SVIDs of a snapshot that the output has published.
func (o *output) svids(s *snapshot.Snapshot) []snapshot.X509SVID {
	if s == nil || s.X509 == nil || o.err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.X509.SVIDs), func(svid snapshot.X509SVID) bool {
		return !slices.ContainsFunc(o.set.Identities, func(id encode.Identity) bool {
			return id.Kind.Has(snapshot.KindX509) && id.ID == svid.ID && id.Hint == svid.Hint
		})
	})
}

func (o *output) privateFiles() []string {
	var paths []string
	for i, f := range o.set.Files {
		if o.set.Uses[i].Private {
			paths = append(paths, filepath.Join(o.spec.Dir, f.Name))
		}
	}
	return paths
}

// describeAwaited says in words what outputs wait for. That can be a thousand
// tokens: it names ten.
func describeAwaited(outputs []*output) string {
	const most = 10
	var all []string
	more := 0
	for _, o := range outputs {
		for _, g := range o.set.Gaps {
			switch {
			case o.has(g):
			case len(all) == most:
				more++
			default:
				all = append(all, fmt.Sprintf("%s for %s", g, o.spec.Dir))
			}
		}
	}
	if more > 0 {
		all = append(all, fmt.Sprintf("%d more", more))
	}
	return strings.Join(all, ", ")
}
