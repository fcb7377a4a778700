package notify

import (
	"path/filepath"
	"strings"

	"github.com/svidhelper/svidhelper/helper/publish"
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
		Env: []string{
			"SVIDHELPER_SPIFFE_ID=" + strings.Join(ids, ","),
			"SVIDHELPER_SERIAL=" + strings.Join(serials, ","),
		},
		Lists: []hook.List{outputs, kinds, files},
		Event: lines,
		First: c.First,
	}
}
