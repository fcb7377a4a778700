package health

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/notify"
	"github.com/svidhelper/svidhelper/helper/printable"
)

// A metric is what a family of samples has in common.
type metric struct {
	kind, name, help string
	labels           []string
}

// The kinds of metric.
const (
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

// What bounds a scrape, whatever the Workload API sends: the samples of a family,
// and the length of a label's value in bytes. An answer has at most 1,024 SVIDs.
const (
	maxSamples = 1024
	maxLabel   = 256
)

// An exposition is a scrape in Prometheus's text format, version 0.0.4. It is
// ours because the client library starts registries and collectors in every
// program that links it: a quarter of a megabyte, health or not.
type exposition struct {
	families map[*metric]*family
	order    []*metric
	leftOut  int // samples above the bound
}

// A family is the samples of one metric.
type family struct {
	bytes.Buffer
	seen map[string]bool // a scraper refuses a page that has a sample twice
}

func newExposition() *exposition { return &exposition{families: make(map[*metric]*family)} }

// writeTo writes the families, in the order in which they came.
func (e *exposition) writeTo(w io.Writer) error {
	for _, m := range e.order {
		if _, err := e.families[m].WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// sample returns where a sample with these labels goes; nil if there is one
// already, or no room.
func (e *exposition) sample(m *metric, labels string) *family {
	f := e.families[m]
	if f == nil {
		f = &family{seen: make(map[string]bool)}
		e.families[m], e.order = f, append(e.order, m)
		fmt.Fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
	}
	switch {
	case f.seen[labels]:
		return nil
	case len(f.seen) == maxSamples:
		e.leftOut++
		return nil
	}
	f.seen[labels] = true
	return f
}

// value adds a sample.
func (e *exposition) value(m *metric, v float64, values ...string) {
	labels := join(m.labels, values)
	if f := e.sample(m, labels); f != nil {
		f.add(m.name, labels, v)
	}
}

// count adds a sample of what is counted.
func (e *exposition) count(m *metric, n uint64, values ...string) { e.value(m, float64(n), values...) }

// bool adds 1 or 0.
func (e *exposition) bool(m *metric, b bool, values ...string) {
	v := 0.0
	if b {
		v = 1
	}
	e.value(m, v, values...)
}

// time adds a moment, in seconds since 1970, and leaves out what has not happened.
func (e *exposition) time(m *metric, t time.Time, values ...string) {
	if !t.IsZero() {
		e.value(m, float64(t.UnixMilli())/1000, values...)
	}
}

// latencies adds a histogram.
func (e *exposition) latencies(m *metric, l notify.Latencies, values ...string) {
	labels := join(m.labels, values)
	f := e.sample(m, labels)
	if f == nil {
		return
	}
	names := append(m.labels[:len(m.labels):len(m.labels)], "le")
	bucket := func(bound string, n uint64) {
		f.add(m.name+"_bucket", join(names, append(values[:len(values):len(values)], bound)), float64(n))
	}
	for i, n := range l.Cumulative() {
		bucket(number(notify.LatencyBounds[i].Seconds()), n)
	}
	_, n := l.Last()
	bucket("+Inf", n)
	f.add(m.name+"_sum", labels, l.Sum().Seconds())
	f.add(m.name+"_count", labels, float64(n))
}

func (f *family) add(name, labels string, v float64) {
	fmt.Fprintf(f, "%s%s %s\n", name, labels, number(v))
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

var escapes = strings.NewReplacer("\\", `\\`, `"`, `\"`)

// join writes labels. A value can be anything: a path need not be UTF-8, and a
// hint can hold what moves a terminal's cursor.
func join(names, values []string) string {
	if len(names) == 0 {
		return ""
	}
	pairs := make([]string, len(names))
	for i, n := range names {
		pairs[i] = n + `="` + escapes.Replace(printable.Line(values[i], maxLabel)) + `"`
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
