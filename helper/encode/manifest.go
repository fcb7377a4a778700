package encode

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// The manifest says what is in an output, for people and programs that do not
// want to parse certificates. It holds no secret.
type manifest struct {
	Identities []manifestIdentity `json:"identities"`
	Files      []manifestFile     `json:"files"`
}

type manifestIdentity struct {
	Kind      string     `json:"kind"`
	SPIFFEID  string     `json:"spiffe_id"`
	Hint      string     `json:"hint,omitempty"`
	Audience  []string   `json:"audience,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  time.Time  `json:"not_after"`
	Files     []string   `json:"files"`
}

type manifestFile struct {
	Name    string   `json:"name"`
	Mode    string   `json:"mode"`
	Kinds   []string `json:"kinds"`
	Private bool     `json:"private,omitempty"`
}

// manifest adds the manifest, once everything else is in the set.
func (r *encoding) manifest() {
	if !r.output.Manifest.Wanted() {
		return
	}
	m := manifest{Identities: []manifestIdentity{}, Files: []manifestFile{}}
	for _, id := range r.set.Identities {
		out := manifestIdentity{
			Kind: id.Kind.String(), SPIFFEID: id.ID.String(), Hint: id.Hint, Audience: id.Audience,
			Serial: id.Serial, NotAfter: id.NotAfter, Files: id.Files,
		}
		if !id.NotBefore.IsZero() {
			out.NotBefore = &id.NotBefore
		}
		m.Identities = append(m.Identities, out)
	}
	for i, f := range r.set.Files {
		m.Files = append(m.Files, manifestFile{
			Name: f.Name, Mode: fmt.Sprintf("%04o", f.Mode), Kinds: r.set.Uses[i].Kind.Names(), Private: r.set.Uses[i].Private,
		})
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = r.add(r.output.Manifest, snapshot.KindNone, false, append(data, '\n'))
	}
	if err != nil {
		r.skip(fmt.Errorf("manifest: %w", err))
	}
}
