// Package doctor looks at everything that a configuration depends on, here and now,
// and says what is wrong and what to do about it: the Workload API, the outputs, the
// process, the hooks, the ports, and the limits of the machine.
//
// It promises that it changes nothing: no file is written, no process is started or
// signalled. It asks the Workload API what the daemon would ask, connects to the
// addresses of proofs, and listens for a moment on the address of health. It asks
// the code that acts later, so that it does not judge otherwise.
//
// It does not promise that what is well now stays so, and it sees with the rights of
// the user that runs it: run it as the user that svidhelper has.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/printable"
)

// A Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // works, and is unwise or may not last
	Problem Level = "problem" // does not work
)

// The checks, as findings name them.
const (
	checkConfig      = "config"
	checkWorkloadAPI = "workload_api"
	checkIdentity    = "identity"
	checkClock       = "clock"
	checkOutput      = "output"
	checkProcess     = "process"
	checkHook        = "hook"
	checkHealth      = "health"
	checkProof       = "proof"
	checkInotify     = "inotify"
)

// A Finding is what one look has shown.
type Finding struct {
	Level Level `json:"level"`
	// Check is what was looked at, in one word: one of the profiles of the Workload
	// API or of the checks above.
	Check string `json:"check"`
	// Subject says which one, where there are several.
	Subject string `json:"subject,omitempty"`
	// Text is the finding and what to do, on one line.
	Text string `json:"text"`
}

// A Report is all that was found, in the order in which things happen.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Examine looks at everything that a configuration depends on. It waits for the
// Workload API's answers, for at most timeout.
func (r *Report) Examine(ctx context.Context, c *config.Config, timeout time.Duration) {
	answer := r.workloadAPI(ctx, c, timeout)
	for i := range c.Outputs {
		r.output(&c.Outputs[i], answer)
	}
	r.process(c)
	for i := range c.Hooks {
		r.hook(&c.Hooks[i])
	}
	r.health(ctx, c)
	r.proofs(ctx, c, answer)
	r.inotify(c)
}

// Configuration adds what the parser has to say.
func (r *Report) Configuration(file string, diagnostics config.Diagnostics) {
	for _, d := range diagnostics {
		level := Problem
		if d.Severity == config.Warning {
			level = Warning
		}
		place, text := d.File, d.Message
		if d.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
		}
		if d.Hint != "" {
			text += "; " + d.Hint
		}
		r.add(level, checkConfig, place, "%s", text)
	}
	if len(diagnostics) == 0 && file != "" {
		r.add(OK, checkConfig, file, "valid")
	}
}

// Places looks at where outputs go, and at nothing else.
func (r *Report) Places(outputs []encode.Output) {
	for i := range outputs {
		r.place(&outputs[i])
	}
}

// Count returns how many findings are of a level.
func (r *Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// WriteText writes a line for each finding, and one that counts them.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-8s %-12s ", f.Level, f.Check)
		if f.Subject != "" {
			b.WriteString(f.Subject + ": ")
		}
		b.WriteString(f.Text + "\n")
	}
	fmt.Fprintf(&b, "%s, %s\n", plural(r.Count(Problem), "problem"), plural(r.Count(Warning), "warning"))
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as a JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// longText is how much of a text is told, in bytes.
const longText = 1000

func (r *Report) add(l Level, check, subject, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{l, check, printable.Line(subject, longText), printable.Line(fmt.Sprintf(format, args...), longText)})
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
