package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/svidhelper/svidhelper/helper/printable"
)

// Level is how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning" // advised against, or not verified
	Problem Level = "problem" // forbidden, or of no use now
)

// A Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	Text  string `json:"text"`
	// Section is where the standard says so, "X509-SVID 4.3" or "RFC 5280 5.1.2.5";
	// empty where none does.
	Section string `json:"section,omitempty"`
}

// An Item is what there is to say about one file. Fields that do not apply are
// empty.
type Item struct {
	File             string     `json:"file"`
	Kind             Kind       `json:"kind"`
	Usable           bool       `json:"usable"` // no finding is a problem
	SPIFFEID         string     `json:"spiffe_id,omitempty"`
	TrustDomains     []string   `json:"trust_domains,omitempty"`
	Serial           string     `json:"serial,omitempty"` // hexadecimal, as openssl prints it
	NotBefore        *time.Time `json:"not_before,omitempty"`
	NotAfter         *time.Time `json:"not_after,omitempty"`
	RemainingSeconds *int64     `json:"remaining_seconds,omitempty"`
	// Claims are those of a token.
	Claims       map[string]json.RawMessage `json:"claims,omitempty"`
	Certificates []Certificate              `json:"certificates,omitempty"`
	Keys         []Key                      `json:"keys,omitempty"` // of a JWKS
	Findings     []Finding                  `json:"findings"`
}

// A Report is what there is to say about all files.
type Report struct {
	Usable bool    `json:"usable"` // there is something, and all of it is usable
	Files  []*Item `json:"files"`
}

func report(all []*material, o Options) *Report {
	r := &Report{Usable: len(all) > 0, Files: make([]*Item, 0, len(all))}
	for _, m := range all {
		m.item.Usable = m.item.worst() != Problem
		r.Usable = r.Usable && m.item.Usable
		r.Files = append(r.Files, m.item)
	}
	return r
}

func (i *Item) add(level Level, section, format string, args ...any) {
	i.Findings = append(i.Findings, Finding{level, printable.Line(fmt.Sprintf(format, args...), longText), section})
}

func (i *Item) ok(section, format string, args ...any)   { i.add(OK, section, format, args...) }
func (i *Item) warn(section, format string, args ...any) { i.add(Warning, section, format, args...) }
func (i *Item) problem(section, format string, args ...any) {
	i.add(Problem, section, format, args...)
}

// rule says of one rule that it is kept, or how it is broken. Empty strings are
// no breach.
func (i *Item) rule(section, kept string, breaches ...string) {
	broken := false
	for _, b := range breaches {
		if b != "" {
			i.problem(section, "%s", b)
			broken = true
		}
	}
	if !broken {
		i.ok(section, "%s", kept)
	}
}

// when returns the text if it holds.
func when(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}

// lastSecond is the last that JSON can say (RFC 3339).
var lastSecond = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func (i *Item) remaining(from, until time.Time, left time.Duration) {
	seconds := int64(left / time.Second)
	from, until = from.UTC(), until.UTC()
	if !from.IsZero() && !from.After(lastSecond) {
		i.NotBefore = &from
	}
	if !until.After(lastSecond) {
		i.NotAfter, i.RemainingSeconds = &until, &seconds
	}
}

// worst is the level of the worst finding.
func (i *Item) worst() Level {
	worst := OK
	for _, f := range i.Findings {
		if f.Level == Problem || f.Level == Warning && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

// WriteText writes a table for people.
func (r *Report) WriteText(w io.Writer) error {
	var out bytes.Buffer
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	var bad []string
	for _, i := range r.Files {
		heading := i.Kind
		if i.SPIFFEID != "" {
			heading += Kind(" of " + i.SPIFFEID)
		}
		fmt.Fprintf(t, "%s: %s\n", printable.Line(i.File, longText), printable.Line(string(heading), longText))
		for _, f := range i.Findings {
			fmt.Fprintf(t, "  %s\t%s\t%s\n", f.Level, f.Section, f.Text)
		}
		if !i.Usable {
			bad = append(bad, printable.Line(i.File, longText))
		}
	}
	t.Flush()
	switch {
	case len(r.Files) == 0:
		out.WriteString("there is nothing to check\n")
	case len(bad) > 0:
		fmt.Fprintf(&out, "not usable: %s\n", strings.Join(bad, ", "))
	default:
		out.WriteString("usable\n")
	}
	_, err := w.Write(out.Bytes())
	return err
}

// WriteJSON writes the report for machines. What a terminal could take for a
// command is escaped.
func (r *Report) WriteJSON(w io.Writer) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the report: %w", err)
	}
	_, err = w.Write(append(printable.JSON(data), '\n'))
	return err
}

// longText is how much of a text is shown, in bytes.
const longText = 500
