package helper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/writer"
)

// An output is one directory and what the rotator knows about it. The rotator
// alone touches it.
type output struct {
	spec    encode.Output
	dir     *writer.Dir
	encoder *encode.Encoder
	reduced encode.Output // what the encoder encodes: spec, or less of it
	log     *slog.Logger
	journal *events.Stream

	set       encode.Set        // what was last asked to be on disk
	complete  bool              // everything that is configured is on disk
	err       error             // why the last snapshot is not on disk, or nil
	published time.Time         // when the last snapshot was last found on disk
	rotations uint64            // publishes that changed something
	failures  map[string]uint64 // by reason: "encode" or "publish"
}

// exchangeOutputs opens what specs say and is not open, closes what they do not
// say any more, and returns what is open then. On an error that is what was
// open before.
func exchangeOutputs(old []*output, specs []encode.Output, j *events.Stream, log *slog.Logger) (open []*output, err error) {
	kept := map[*output]bool{}
	for i := range specs {
		o := find(old, func(o *output) bool { return reflect.DeepEqual(o.spec, specs[i]) })
		if o != nil {
			kept[o] = true
		}
		open = append(open, o)
	}
	var closed []*output // a directory that changes must be closed to be opened
	for _, o := range old {
		if !kept[o] {
			closed = append(closed, o)
			_ = o.dir.Close()
		}
	}
	for i := range open {
		if open[i] == nil && err == nil {
			open[i], err = openOutput(specs[i], j, log)
		}
	}
	if err == nil {
		return open, nil
	}
	for _, o := range open {
		if o != nil && !kept[o] {
			_ = o.dir.Close()
		}
	}
	return old, errors.Join(err, reopen(closed, log))
}

func reopen(outputs []*output, log *slog.Logger) error {
	var errs []error
	for _, o := range outputs {
		dir, err := openDir(&o.spec, log)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.dir = dir
	}
	return errors.Join(errs...)
}

// openDir opens an output's directory, and warns of what is unwise.
func openDir(spec *encode.Output, log *slog.Logger) (*writer.Dir, error) {
	if err := encode.Check(spec); err != nil {
		return nil, err
	}
	dir, err := writer.Open(spec.Spec, log)
	if err != nil {
		return nil, err
	}
	for _, w := range encode.Warnings(spec) {
		log.Warn(w, "output", spec.Dir)
	}
	return dir, nil
}

func openOutput(spec encode.Output, j *events.Stream, log *slog.Logger) (*output, error) {
	dir, err := openDir(&spec, log)
	if err != nil {
		return nil, err
	}
	return &output{
		spec:     spec,
		dir:      dir,
		encoder:  encode.NewEncoder(&spec),
		reduced:  spec,
		log:      log.With("output", spec.Dir),
		journal:  j,
		failures: map[string]uint64{},
	}, nil
}

func closeOutputs(outputs []*output) error {
	var errs []error
	for _, o := range outputs {
		errs = append(errs, o.dir.Close())
	}
	return errors.Join(errs...)
}

// publish puts the snapshot on disk and returns what changed there. A snapshot
// that lacks something is published as far as it goes: what it lacks stays as
// it is on disk, unless it is revoked. A failure is remembered and leaves the
// last good set.
func (o *output) publish(s *snapshot.Snapshot, revoked []*source.ProfileStatus) outputChange {
	o.reduce(revoked)
	set, err := o.encoder.Encode(s)
	if err != nil {
		o.failed("encode", fmt.Errorf("encoding for %s: %w", o.spec.Dir, err))
		return outputChange{}
	}
	published, err := o.dir.Publish(set.Files, set.Keeps)
	if err != nil {
		o.failed("publish", err)
		return outputChange{}
	}
	o.set, o.published = set, time.Now()
	o.complete = len(set.Awaited) == 0 && reflect.DeepEqual(o.reduced, o.spec)
	if o.err != nil {
		o.log.Info("recovered: the output is on disk again")
		o.err = nil
	}
	changed, removed := set.Kinds(published, &o.spec)
	change := outputChange{changed | removed, slices.Sorted(slices.Values(slices.Concat(published.Changed, published.Removed)))}
	if change.kinds != snapshot.KindNone {
		o.rotations++
		o.announce(change)
	}
	return change
}

// reduce has the encoder leave out what is revoked, so that it leaves the disk
// too.
func (o *output) reduce(revoked []*source.ProfileStatus) {
	less := without(o.spec, revoked)
	if reflect.DeepEqual(less, o.reduced) {
		return
	}
	o.log.Warn("the identity is refused: what belongs to it leaves the disk")
	o.reduced = less
	o.encoder = encode.NewEncoder(&o.reduced)
}

// without returns what is left of an output without its revoked parts.
func without(spec encode.Output, revoked []*source.ProfileStatus) encode.Output {
	for _, p := range revoked {
		switch p.Profile {
		case source.ProfileX509SVID:
			spec.X509SVIDs = nil
		case source.ProfileX509Bundle:
			spec.X509Bundles = nil
		case source.ProfileJWTBundle:
			spec.JWTBundles = nil
		case source.ProfileWITSVID:
			spec.WITSVIDs = nil
		case source.ProfileWITBundle:
			spec.WITBundles = nil
		case source.ProfileJWTSVID:
			spec.JWTSVIDs = slices.DeleteFunc(slices.Clone(spec.JWTSVIDs), func(j encode.JWTSVID) bool {
				return j.Request() == p.Request
			})
		}
	}
	return spec
}

// failed remembers an error, and logs it unless it is the one before again.
func (o *output) failed(reason string, err error) {
	if o.err == nil || o.err.Error() != err.Error() {
		o.log.Error("not published, the last good set stays", "error", err)
		o.journal.Note(events.Event{Event: events.Failed, Failed: reason, Output: o.spec.Dir, Error: err.Error()})
	}
	o.err = err
	o.failures[reason]++
}

// announce logs a publish: a line for each identity with a file that changed.
// There may be a thousand tokens, each of them renewed alone.
func (o *output) announce(change outputChange) {
	changed := make(map[string]bool, len(change.files))
	for _, name := range change.files {
		changed[name] = true
	}
	said := false
	for _, id := range o.set.Identities {
		if !change.kinds.Has(id.Kind) || !slices.ContainsFunc(id.Files, func(name string) bool { return changed[name] }) {
			continue
		}
		said = true
		attrs := []any{"changed", change.kinds.String(), "spiffe_id", id.ID.String()}
		if id.Serial != "" {
			attrs = append(attrs, "serial", id.Serial)
		}
		if len(id.Audience) > 0 {
			attrs = append(attrs, "audience", strings.Join(id.Audience, ","))
		}
		o.log.Info("published", append(attrs, "expires", id.NotAfter.UTC())...)
	}
	if !said {
		o.log.Info("published", "changed", change.kinds.String(), "files", change.files)
	}
}

// onDisk are the X.509-SVIDs of a snapshot that the output has published.
func (o *output) onDisk(s *snapshot.Snapshot) []snapshot.X509SVID {
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

// outputStatus is what others may know of an output: a copy.
type outputStatus struct {
	spec       encode.Output
	identities []encode.Identity
	files      []string // that are on disk
	complete   bool
	awaited    []string
	err        error
	published  time.Time
	rotations  uint64
	failures   map[string]uint64
}

func (o *output) status() outputStatus {
	return outputStatus{
		spec:       o.spec,
		identities: o.set.Identities,
		files:      fileNames(o.set.Files),
		complete:   o.complete,
		awaited:    o.set.Awaited,
		err:        o.err,
		published:  o.published,
		rotations:  o.rotations,
		failures:   maps.Clone(o.failures),
	}
}

func fileNames(files []writer.File) []string {
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.Name)
	}
	return names
}

// describeAwaited says in words what outputs are waiting for.
func describeAwaited(outputs []*output) string {
	var all []string
	for _, o := range outputs {
		for _, a := range o.set.Awaited {
			all = append(all, fmt.Sprintf("%s for %s", a, o.spec.Dir))
		}
	}
	return strings.Join(all, ", ")
}

// watchOutputs makes one channel of what the outputs' directories say when
// somebody else has changed them. stop ends the watch and waits for its end.
func watchOutputs(ctx context.Context, outputs []*output) (tampered <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	for _, o := range outputs {
		watching.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-o.dir.Tampered():
				}
				select {
				case c <- struct{}{}:
				default: // one is waiting already
				}
			}
		})
	}
	return c, func() { cancel(); watching.Wait() }
}
