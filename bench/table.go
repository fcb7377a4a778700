//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// A measure is the median and the 99th percentile of some samples.
type measure struct{ p50, p99 float64 }

// none stands where a program cannot do what a line asks for.
var none = measure{math.NaN(), math.NaN()}

func measured(samples []float64) measure {
	if len(samples) == 0 {
		return none
	}
	slices.Sort(samples)
	return measure{samples[len(samples)/2], samples[len(samples)*99/100]}
}

// one is a figure that is no distribution.
func one(v float64) measure { return measure{v, math.NaN()} }

// A row is one line of the table.
type row struct {
	what, unit string
	of         map[string]measure // by the form's name
	limit      float64            // for the median of svidhelper; 0: none
	budget     string             // how the limit came about
}

func newRow(what, unit string) row {
	return row{what: what, unit: unit, of: map[string]measure{}}
}

// take takes the samples of each form.
func (r *row) take(samples map[string][]float64) {
	for form, s := range samples {
		r.of[form] = measured(s)
	}
}

// atMost gives the row a budget: a multiple of a form's median, and more.
func (r *row) atMost(times float64, form string, more float64) {
	m, ok := r.of[form]
	if form != "" && (!ok || math.IsNaN(m.p50)) {
		return
	}
	limit, text := more, r.number(more)+" "+r.unit
	if form != "" {
		limit += times * m.p50
		text = fmt.Sprintf("%g x %s", times, form)
		if more != 0 {
			text += " + " + r.number(more) + " " + r.unit
		}
	}
	if r.limit == 0 || limit < r.limit {
		r.limit, r.budget = limit, text
	}
}

func (r *row) broken() bool { return r.limit > 0 && r.of["svidhelper"].p50 > r.limit }

func (r *row) number(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case v >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// print writes the table in Markdown. The columns are as wide as they need to
// be, so that it can be read as it is.
func print(w io.Writer, names []string, rows []row) (broken int) {
	head := []string{"what", "unit"}
	for i, n := range names {
		head = append(head, n+" p50", "p99")
		if i > 0 {
			head = append(head, "ratio")
		}
	}
	table := [][]string{append(head, "budget", "")}
	for _, r := range rows {
		cells := []string{r.what, r.unit}
		for i, n := range names {
			m, ok := r.of[n]
			if !ok {
				m = none
			}
			cells = append(cells, r.number(m.p50), r.number(m.p99))
			if i > 0 {
				ratio := r.of["svidhelper"].p50 / m.p50
				if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
					cells = append(cells, "")
				} else {
					cells = append(cells, fmt.Sprintf("%.2f", ratio))
				}
			}
		}
		verdict := ""
		switch {
		case r.broken():
			verdict = "BROKEN"
			broken++
		case r.limit > 0:
			verdict = "held"
		}
		table = append(table, append(cells, r.budget, verdict))
	}
	width := make([]int, len(table[0]))
	for _, cells := range table {
		for i, c := range cells {
			width[i] = max(width[i], len(c), 3)
		}
	}
	rule := make([]string, len(width))
	for i := range rule {
		rule[i] = strings.Repeat("-", width[i])
	}
	for _, cells := range slices.Insert(table, 1, rule) {
		for i, c := range cells {
			fmt.Fprintf(w, "| %-*s ", width[i], c)
		}
		fmt.Fprintln(w, "|")
	}
	return broken
}
