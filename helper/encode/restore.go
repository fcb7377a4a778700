package encode

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// Fingerprint stands for everything that the configuration says of an output.
func Fingerprint(o *Output) string {
	text, err := json.Marshal(o)
	if err != nil {
		return "" // which is no output's
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// A Disk is what an earlier run has left of an output: one whole set.
type Disk interface {
	Names() ([]string, error)
	Read(name string) ([]byte, error)
}

// Restore returns the set that an earlier run has left on disk, or why a process
// cannot start on it: a file is missing, does not parse or belongs to another
// set; an SVID has expired or is not allowed. That it is of the same
// configuration is for the caller to know (Fingerprint). The X.509-SVIDs are those of
// the set.
func Restore(o *Output, disk Disk, now time.Time) (Set, []snapshot.X509SVID, error) {
	names, err := disk.Names()
	if err != nil {
		return Set{}, nil, err
	}
	slices.Sort(names)
	r := &restoring{output: o, disk: disk, names: names, now: now}
	for sel := range o.Selections() {
		if err := r.restore(sel); err != nil {
			return Set{}, nil, fmt.Errorf("%s: %w", o.Describe(sel), err)
		}
	}
	for _, t := range o.Templates {
		if _, err := r.file(t.File, Use{t.Kind, t.Private}); err != nil {
			return Set{}, nil, err
		}
	}
	if _, err := r.files(o.Manifest, Use{}); err != nil {
		return Set{}, nil, err
	}
	return r.set, r.svids, nil
}

type restoring struct {
	output *Output
	disk   Disk
	names  []string // of all files on disk
	now    time.Time
	set    Set
	svids  []snapshot.X509SVID
}

// A diskFile is a file of the set.
type diskFile struct {
	name string
	data []byte
}

func (r *restoring) restore(sel Selection) error {
	switch sel.Block {
	case BlockX509SVID:
		return r.x509SVID(sel)
	case BlockJWTSVID:
		return r.jwtSVID(sel)
	case BlockWITSVID:
		return r.witSVID(sel)
	}
	found, err := r.files(r.output.files(sel)[0], Use{Kind: r.output.kind(sel)})
	for _, f := range found {
		if err == nil {
			err = r.bundle(sel, f.data)
		}
	}
	return err
}

// bundle checks a file of bundles.
func (r *restoring) bundle(sel Selection, data []byte) (err error) {
	if sel.Block == BlockX509Bundle {
		if b := &r.output.X509Bundles[sel.Index]; b.Format != FormatSPIFFE {
			_, err = readAuthorities(b, data)
			return err
		}
	}
	if !json.Valid(data) {
		return errors.New("it is no JSON")
	}
	return nil
}

// files reads the files that a name can be of. There is at least one.
func (r *restoring) files(f FileSpec, use Use) (found []diskFile, err error) {
	if !f.Wanted() {
		return nil, nil
	}
	names := []string{f.Name}
	if f.Varies() {
		names = slices.DeleteFunc(slices.Clone(r.names), func(name string) bool { return !f.Matches(name) || r.output.names(name) })
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no file is there whose name could be %q", f.Name)
	}
	for _, name := range names {
		data, err := r.disk.Read(name)
		if err != nil {
			return nil, err
		}
		if len(data) == 0 {
			return nil, fmt.Errorf("%q is empty", name)
		}
		found = append(found, diskFile{name, data})
		r.set.Files = append(r.set.Files, writer.File{Name: name, Data: data, Mode: r.output.Mode(f, use.Private), Owner: f.Owner, Group: f.Group})
		r.set.Uses = append(r.set.Uses, use)
	}
	return found, nil
}

// file reads the only file that a name can be of.
func (r *restoring) file(f FileSpec, use Use) (diskFile, error) {
	found, err := r.files(f, use)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%d files are there whose name could be %q", len(found), f.Name)
	}
	if err != nil {
		return diskFile{}, err
	}
	return found[0], nil
}

func (r *restoring) jwtSVID(sel Selection) error {
	want := &r.output.JWTSVIDs[sel.Index]
	file, err := r.file(want.File, Use{snapshot.KindJWT, true})
	if err != nil {
		return err
	}
	svid, err := jwtsvid.ParseInsecure(string(file.data), want.Audience)
	switch {
	case err != nil:
		return err
	case !r.now.Before(svid.Expiry):
		return fmt.Errorf("it expired at %s", svid.Expiry.UTC().Format(time.RFC3339))
	case !want.ID.IsZero() && want.ID != svid.ID:
		return fmt.Errorf("what is on disk is that of %s", svid.ID)
	}
	r.set.Identities = append(r.set.Identities, Identity{
		Kind: snapshot.KindJWT, Selection: sel, ID: svid.ID, Hint: want.Hint, Audience: want.Audience,
		Issued: issued(svid), NotAfter: svid.Expiry.UTC(), Files: []string{file.name},
	})
	return nil
}

// issued is when a token says that it was issued; zero if it does not say, or what
// cannot be.
func issued(svid *jwtsvid.SVID) time.Time {
	iat, _ := svid.Claims["iat"].(float64)
	if iat > 0 && iat < float64(svid.Expiry.Unix()) {
		return time.Unix(int64(iat), 0).UTC()
	}
	return time.Time{}
}

func (r *restoring) witSVID(sel Selection) error {
	want := &r.output.WITSVIDs[sel.Index]
	tokens, err := r.files(want.Token, Use{snapshot.KindWIT, true})
	if err != nil {
		return err
	}
	keys, err := r.files(want.Key, Use{snapshot.KindWIT, true})
	if err != nil {
		return err
	}
	if want.Key.Wanted() && len(keys) != len(tokens) {
		return fmt.Errorf("%d tokens and %d private keys are there", len(tokens), len(keys))
	}
	for _, token := range tokens {
		if err := r.witToken(token.data); err != nil {
			return err
		}
	}
	return nil
}

func (r *restoring) witToken(token []byte) error {
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		return errors.New("there is no token that could be checked")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		return err
	}
	if until := time.Unix(int64(claims.Expiry), 0); !r.now.Before(until) {
		return fmt.Errorf("it expired at %s", until.UTC().Format(time.RFC3339))
	}
	return nil
}
