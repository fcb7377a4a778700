package health

import (
	"bytes"
	"fmt"
	"html"
	"net/http"
	"time"

	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// style is all that the page has of it; it loads nothing.
const style = `body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0 1.5em;width:100%}
th,td{text-align:left;padding:.2em 1em .2em 0;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600}.good{color:#176b2c}.bad{color:#a61b1b}`

// page is for a person who wants to know what goes on. It is written by hand:
// html/template keeps the linker from leaving out what is never called,
// which costs megabytes.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	status, now := s.current(), time.Now()
	ready, why := status.ready(now)
	p := &page{now: now}
	p.printf("<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=5><title>svidhelper</title><style>")
	p.WriteString(style)
	p.printf("</style><h1>svidhelper %s</h1><p class=", status.Version)
	if ready {
		p.printf("good>ready")
	} else {
		p.printf("bad>not ready")
	}
	if !status.Started.IsZero() {
		p.printf(", running for %v", now.Sub(status.Started).Round(time.Second))
	}
	p.printf("</p>")
	if len(why) > 0 {
		p.printf("<ul class=bad>")
		for _, reason := range why {
			p.printf("<li>%s", reason)
		}
		p.printf("</ul>")
	}
	for _, note := range status.notes(why) {
		p.printf("<p class=bad>%s</p>", note)
	}
	if status.Reload.Problem == "" && !status.Reload.At.IsZero() {
		p.printf("<p>the configuration file took effect at %s</p>", p.ago(status.Reload.At))
	}
	p.outputs(status.Outputs)
	p.source(status.Source)
	p.targets(status.Process, status.Hooks)
	p.proofs(status.Proofs)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = p.WriteTo(w) // the client may be gone
}

type page struct {
	bytes.Buffer
	now time.Time
}

// printf writes markup with values, of which the strings are escaped.
func (p *page) printf(markup string, values ...any) {
	for i, v := range values {
		if s, is := v.(string); is {
			values[i] = html.EscapeString(s)
		}
	}
	fmt.Fprintf(p, markup, values...)
}

func (p *page) table(title string, heads ...string) {
	p.printf("<h2>%s</h2><table><tr>", title)
	for _, h := range heads {
		p.printf("<th>%s", h)
	}
}

func (p *page) row(cells ...any) {
	p.printf("<tr>")
	for _, c := range cells {
		p.printf("<td>%s", fmt.Sprint(c))
	}
}

func (p *page) end() { p.printf("</table>") }

// ago writes a moment for people.
func (p *page) ago(t time.Time) string {
	switch d := p.now.Sub(t).Round(time.Second); {
	case t.IsZero():
		return "never"
	case d < 0:
		return fmt.Sprintf("%s, in %s", t.UTC().Format(time.RFC3339), -d)
	default:
		return fmt.Sprintf("%s, %s ago", t.UTC().Format(time.RFC3339), d)
	}
}

func (p *page) outputs(outputs []publish.Status) {
	for i := range outputs {
		o := &outputs[i]
		p.table(o.Spec.Dir, "kind", "SPIFFE ID", "hint", "serial", "file", "expires")
		for _, id := range o.Identities {
			p.row(kindName(id), id.ID.String(), id.Hint, id.Serial, file(id), p.ago(id.NotAfter))
		}
		p.end()
		p.printf("<p>%d rotations, up to date at %s</p>", o.Rotations, p.ago(o.LastSuccess))
	}
}

func (p *page) source(s *source.Status) {
	state := "not connected"
	if s.Connection.Connected {
		state = "connected"
	}
	p.table("Workload API, "+s.Connection.Address+", "+state, "profile", "state", "last answer", "last error")
	for _, f := range s.Profiles {
		p.row(f.Name(), string(f.State), p.ago(f.LastSuccess), lastError(f))
	}
	p.end()
}

func (p *page) targets(process *supervisor.Status, hooks []hook.Status) {
	if process == nil && len(hooks) == 0 {
		return
	}
	p.table("Told of rotations", "target", "state", "rotations", "told", "last told")
	if process != nil {
		p.row("process", fmt.Sprintf("%s, pid %d, %d restarts", process.State, process.PID, process.Restarts),
			process.Rotated, process.Delivered, "")
	}
	for _, h := range hooks {
		p.row(h.Name, fmt.Sprintf("%d runs, %d failed", h.Runs, h.Failures), h.Asked, h.Delivered, p.ago(h.LastDelivered))
	}
	p.end()
}

func (p *page) proofs(proofs []notify.ProofStatus) {
	if len(proofs) == 0 {
		return
	}
	p.table("Seen to be served", "by", "address", "serves", "should serve", "took", "proven", "failed")
	for _, f := range proofs {
		last, count := f.Latency.Last()
		p.row(f.Target, f.Address, f.Served, f.Want, last, count, f.Failures)
	}
	p.end()
}
