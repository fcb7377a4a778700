package notify

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// notice describes a change to a hook: its environment, and the events for a
// command's standard input, the same as in the event stream.
func notice(c publish.Change) hook.Notice {
	outputs := hook.List{Name: "SVIDHELPER_OUTPUT"}
	kinds := hook.List{Name: "SVIDHELPER_KINDS", Values: c.Kinds.Names()}
	files := hook.List{Name: "SVIDHELPER_FILES"}
	var ids, serials []string
	for _, p := range c.Outputs {
		outputs.Values = append(outputs.Values, p.Dir)
		for _, f := range p.Files {
			files.Values = append(files.Values, filepath.Join(p.Dir, f))
		}
		for _, id := range p.Identities {
			ids = append(ids, id.ID.String())
			if id.Serial != "" {
				serials = append(serials, id.Serial)
			}
		}
	}
	var lines []byte
	for _, e := range c.Events() {
		lines = append(lines, e.Line()...)
	}
	return hook.Notice{
		Env:   identityEnv(ids, serials),
		Lists: []hook.List{outputs, kinds, files},
		Event: lines,
		First: c.First,
	}
}

func identityEnv(ids, serials []string) []string {
	return []string{
		"SVIDHELPER_SPIFFE_ID=" + strings.Join(ids, ","),
		"SVIDHELPER_SERIAL=" + strings.Join(serials, ","),
	}
}

// proofNotice describes a change to the command of a proof: as to a hook, but the
// SVIDs are all X.509-SVIDs on disk, changed or not. Where there is none, they are
// those of the change.
func proofNotice(c publish.Change) hook.Notice {
	n := notice(c)
	var ids, serials []string
	for _, svid := range c.OnDisk {
		if serial := snapshot.Serial(svid.Certificates[0].SerialNumber); !slices.Contains(serials, serial) {
			ids, serials = append(ids, svid.ID.String()), append(serials, serial)
		}
	}
	if len(ids) > 0 {
		n.Env = identityEnv(ids, serials)
	}
	return n
}
