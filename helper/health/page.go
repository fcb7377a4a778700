package health

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/events"
)

// style is all that the page has of it; it loads nothing.
//
//go:embed page.css
var style string

// maxShown bounds what the page shows of a list; /status.json has the rest.
const maxShown = 100

// A page is HTML for a person who wants to know what goes on. It is written by
// hand: there is little of it, and printf escapes every text.
type page struct {
	bytes.Buffer
	now time.Time
}

// head begins the document.
func (p *page) head() {
	p.printf("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>svidhelper</title><style>")
	p.WriteString(style)
	p.printf("</style>\n")
}

// version writes the report as the n-th version of the page, and hides the one
// before. It does so by name: browsers do not know which element is the last of a
// document that has not ended.
func (p *page) version(n int, r *report) {
	p.now = r.Time
	p.printf("<style>#v%d{display:none}</style><main id=v%d><h1>svidhelper <span class=dim>%s</span></h1><p>", n-1, n, r.Version)
	if r.Ready {
		p.printf("<b class=good>ready</b>")
	} else {
		p.printf("<b class=bad>not ready</b>")
	}
	if !r.Started.IsZero() {
		p.printf(", running for %s", span(p.now.Sub(r.Started)))
	}
	p.printf(" <span class=dim>at %s</span></p>\n", moment(r.Time))
	p.list("Not ready", "bad", r.Reasons)
	p.list("To be noted", "soon", r.Notes)
	for i := range r.Outputs {
		p.output(&r.Outputs[i])
	}
	p.targets(r.Targets)
	p.history(r.History)
	p.source(&r.WorkloadAPI)
	if !r.Configuration.Changed.IsZero() && r.Configuration.Problem == "" {
		p.printf("<p>The configuration file last took effect %s.</p>", p.ago(r.Configuration.Changed))
	}
	p.printf("<p class=dim>The same for programs: <a href=status.json>status.json</a>, <a href=metrics>metrics</a></p>")
	p.printf("<p class=silent>Nothing new since %s: svidhelper has ended, or cannot be reached. <a href=\"\">Try again</a></p></main>\n", moment(r.Time))
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

// list writes sentences under a title, unless there are none.
func (p *page) list(title, class string, sentences []string) {
	if len(sentences) == 0 {
		return
	}
	p.printf("<h2 class=%s>%s</h2><ul class=\"card why %s\">", class, title, class)
	for _, s := range sentences {
		p.printf("<li class=long><span class=text>%s</span>", s)
	}
	p.printf("</ul>\n")
}

// fact writes a name and a value, unless the value is empty.
func (p *page) fact(name, value string) {
	if value != "" {
		p.printf("<dt>%s<dd>%s", name, value)
	}
}

// problem writes what is wrong, unless nothing is.
func (p *page) problem(text string) {
	if text != "" {
		p.printf("<p class=\"bad long\">%s</p>", text)
	}
}

func (p *page) output(o *outputReport) {
	p.printf("<h2>%s</h2><p class=dim>", o.Dir)
	switch {
	case o.LastSuccess.IsZero():
		p.printf("nothing is on disk yet")
	case !o.Complete:
		p.printf("not everything is on disk, %s", counted(o.Rotations, "rotation"))
	default:
		p.printf("%s, up to date %s", counted(o.Rotations, "rotation"), p.ago(o.LastSuccess))
	}
	p.printf("</p><div class=cards>")
	first := o.Identities[:min(len(o.Identities), maxShown)]
	for i := range first {
		p.identity(&first[i])
	}
	p.printf("</div>\n")
	if more := len(o.Identities) - len(first) + o.LeftOut; more > 0 {
		p.printf("<p>and %d more, which expire later</p>", more)
	}
	for _, f := range o.Refused[:min(len(o.Refused), maxShown)] {
		p.printf("<p class=\"bad long\">%s is refused (%s) since %s</p>", f.Identity, f.Reason, moment(f.Since))
	}
}

func (p *page) identity(id *identityReport) {
	p.printf("<section class=card><h3>%s</h3>", id.SPIFFEID)
	p.life(id)
	p.printf("<dl>")
	p.fact("kind", id.Kind)
	p.fact("hint", id.Hint)
	p.fact("audience", strings.Join(id.Audience, ", "))
	p.fact("serial", id.Serial)
	p.fact("file", id.File)
	if !id.Expires.IsZero() {
		p.fact("expires", moment(id.Expires))
	}
	p.printf("</dl>")
	if id.Stale {
		p.problem("the Workload API has a newer one, which was refused")
	}
	p.printf("</section>")
}

// life writes what is left of an SVID's life, as a bar where its begin is known.
func (p *page) life(id *identityReport) {
	left := id.Expires.Sub(p.now)
	whole := id.Expires.Sub(id.Begin)
	percent := int64(-1) // unknown
	if !id.Begin.IsZero() && whole > 0 {
		percent = min(max(int64(left/(whole/100+1)), 0), 100)
	}
	class := "good"
	switch {
	case id.Expires.IsZero():
		p.printf("<p>never expires</p>")
		return
	case left <= 0:
		class = "bad"
	case percent >= 0 && percent < 25:
		class = "soon"
	}
	if percent >= 0 {
		p.printf("<div class=\"bar %s\" role=img aria-label=\"%d percent of its life is left\"><i style=width:%d%%></i></div>", class, percent, percent)
	}
	if left <= 0 {
		p.printf("<p class=bad>expired %s ago", span(-left))
	} else {
		p.printf("<p class=%s>%s left", class, span(left))
	}
	if percent >= 0 {
		p.printf(" <span class=dim>of %s</span>", span(whole))
	}
	p.printf("</p>")
}

func (p *page) targets(all []targetReport) {
	if len(all) == 0 {
		return
	}
	p.printf("<h2>Told of rotations</h2><div class=cards>")
	for i := range all[:min(len(all), maxShown)] {
		t := &all[i]
		p.printf("<section class=card><h3>%s</h3>", t.Name)
		p.problem(t.Problem)
		p.printf("<dl>")
		p.fact("state", t.State)
		if t.PID != 0 {
			p.fact("pid", fmt.Sprint(t.PID))
		}
		if t.State != "" {
			p.fact("restarts", fmt.Sprintf("%d, and %d of them after a crash", t.Restarts, t.Crashes))
		} else {
			p.fact("runs", fmt.Sprintf("%d, and %d of them failed", t.Runs, t.Failures))
		}
		p.fact("told", fmt.Sprintf("%d of %d", t.Told, t.Asked))
		if !t.LastTold.IsZero() {
			p.fact("last told", p.ago(t.LastTold))
		}
		p.fact("took", latency(t.Latency))
		p.printf("</dl>")
		if t.Proof != nil {
			p.proof(t.Proof)
		}
		p.printf("</section>")
	}
	p.printf("</div>\n")
}

func (p *page) proof(f *proofReport) {
	switch {
	case f.Problem != "":
		p.problem(f.Problem)
	case f.Proven:
		p.printf("<p class=good>proven: the service serves what is on disk</p>")
	default:
		p.printf("<p class=soon>not proven yet</p>")
	}
	p.printf("<dl>")
	p.fact("address", f.Address)
	p.fact("serves", f.Served)
	p.fact("should", f.Want)
	p.fact("trust not seen", strings.Join(f.Unseen, ", "))
	p.fact("took", latency(f.Latency))
	if f.Failures > 0 {
		p.fact("failed", counted(f.Failures, "time"))
	}
	p.printf("</dl>")
}

func (p *page) history(all []entry) {
	if len(all) == 0 {
		return
	}
	p.printf("<h2>Last rotations</h2><div class=cards>")
	for i := range all {
		p.entry(&all[i])
	}
	p.printf("</div>\n")
}

func (p *page) entry(h *entry) {
	title := map[string]string{
		events.Published: "rotation", events.Removed: "removed", events.Reloaded: "new configuration", events.Failed: h.Failed + " failed",
	}[h.Event]
	p.printf("<section class=card><h3>%s <span class=dim>%s</span></h3>", title, p.ago(h.Time))
	p.problem(h.Error)
	for _, o := range h.Outcomes {
		switch o.Event {
		case events.Notified:
			p.printf("<p class=good>%s told %s</p>", o.Target, after(o.Latency))
		case events.Proven:
			p.printf("<p class=good>%s proven %s</p>", o.Target, after(o.Latency))
		default:
			p.printf("<p class=\"bad long\">%s, %s failed: %s</p>", o.Target, o.Failed, o.Error)
		}
	}
	p.printf("<dl>")
	p.fact("changed", strings.Join(append(h.Kinds, h.Changed...), ", "))
	p.fact("in", strings.Join(h.Outputs, ", "))
	for _, id := range h.Identities {
		p.fact(id.Kind, strings.TrimSpace(id.SPIFFEID+" "+id.Serial))
	}
	p.printf("</dl></section>")
}

func (p *page) source(s *apiReport) {
	p.printf("<h2>Workload API</h2><p class=long>%s, ", s.Address)
	if s.Connected {
		p.printf("<b class=good>connected</b>")
	} else {
		p.printf("<b class=bad>not connected</b>")
	}
	p.printf("</p>")
	p.problem(s.Problem)
	p.printf("<div class=cards>")
	first := s.Profiles[:min(len(s.Profiles), maxShown)]
	for _, f := range first {
		p.printf("<section class=card><h3>%s</h3><dl>", f.Profile)
		p.fact("audience", strings.Join(f.Audience, ", "))
		p.fact("SPIFFE ID", f.SPIFFEID)
		p.fact("hint", f.Hint)
		p.fact("state", f.State)
		p.fact("answer", p.ago(f.LastAnswer))
		p.printf("</dl>")
		p.problem(f.Error)
		p.printf("</section>")
	}
	p.printf("</div>\n")
	if more := len(s.Profiles) - len(first) + s.LeftOut; more > 0 {
		p.printf("<p>and %d more</p>", more)
	}
}

// moment writes a time of day, in UTC, with its date.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// ago writes how long ago something was.
func (p *page) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(p.now.Sub(t)) + " ago"
}

// span writes a length of time, in the two largest units that it has.
func span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	days, hours, minutes, seconds := d/(24*time.Hour), d/time.Hour%24, d/time.Minute%60, d/time.Second%60
	switch {
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh %dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm %ds", minutes, seconds)
	}
	return fmt.Sprintf("%ds", seconds)
}

// latency writes seconds to three figures or so; none is empty.
func latency(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// after writes a latency after a verb; none is empty.
func after(seconds float64) string {
	if l := latency(seconds); l != "" {
		return "after " + l
	}
	return ""
}

// counted writes a number with a noun, which gets an s unless the number is 1.
func counted(n uint64, noun string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, noun)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
