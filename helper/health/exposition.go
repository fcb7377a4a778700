package health

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/svidhelper/svidhelper/helper/notify"
)

// A metric is what a family of samples has in common.
type metric struct {
	name, help string
	labels     []string
}

// An exposition is a scrape in Prometheus's text format, version 0.0.4. It is
// ours because the client library starts registries and collectors in every
// program that links it: a quarter of a megabyte, health or not.
type exposition struct {
	families map[*metric]*bytes.Buffer
	order    []*metric
	seen     map[string]bool // a scraper refuses a page that has a sample twice
}

func newExposition() *exposition {
	return &exposition{families: make(map[*metric]*bytes.Buffer), seen: make(map[string]bool)}
}

// writeTo writes the families, in the order in which they came.
func (e *exposition) writeTo(w io.Writer) error {
	for _, m := range e.order {
		if _, err := e.families[m].WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// family returns where samples of the metric go, unless it has one with these
// labels.
func (e *exposition) family(m *metric, kind, labels string) *bytes.Buffer {
	key := m.name + labels
	if e.seen[key] {
		return nil
	}
	e.seen[key] = true
	f := e.families[m]
	if f == nil {
		f = new(bytes.Buffer)
		e.families[m], e.order = f, append(e.order, m)
		fmt.Fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, kind)
	}
	return f
}

func (e *exposition) value(m *metric, kind string, v float64, values []string) {
	labels := join(m.labels, values)
	if f := e.family(m, kind, labels); f != nil {
		sample(f, m.name, labels, v)
	}
}

func (e *exposition) latencies(m *metric, l notify.Latencies, values ...string) {
	f := e.family(m, "histogram", join(m.labels, values))
	if f == nil {
		return
	}
	names := append(m.labels[:len(m.labels):len(m.labels)], "le")
	bucket := func(bound string, n uint64) {
		sample(f, m.name+"_bucket", join(names, append(values[:len(values):len(values)], bound)), float64(n))
	}
	for i, n := range l.Cumulative() {
		bucket(number(notify.LatencyBounds[i].Seconds()), n)
	}
	_, count := l.Last()
	bucket("+Inf", count)
	sample(f, m.name+"_sum", join(m.labels, values), l.Sum().Seconds())
	sample(f, m.name+"_count", join(m.labels, values), float64(count))
}

func sample(f *bytes.Buffer, name, labels string, v float64) {
	fmt.Fprintf(f, "%s%s %s\n", name, labels, number(v))
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

var escapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`)

// join writes labels. A value can be anything: a path need not be UTF-8.
func join(names, values []string) string {
	if len(names) == 0 {
		return ""
	}
	pairs := make([]string, len(names))
	for i, n := range names {
		pairs[i] = n + `="` + escapes.Replace(strings.ToValidUTF8(values[i], "\uFFFD")) + `"`
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
