package publish

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// lateness is an output on a clock of the test's, in minutes.
type lateness struct {
	*output
	log  *testbed.Log
	said string
}

var lateNoon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return lateNoon.Add(time.Duration(n) * time.Minute) }

func newLateness() *lateness {
	l := &lateness{log: testbed.NewLog()}
	l.output = &output{log: slog.New(slog.NewTextHandler(l.log, nil))}
	return l
}

// at judges in a minute, after a publish unless identities is nil, and returns what
// the log says of it, and the minute of the next stage; -1: there is none.
func (l *lateness) at(n int, identities []encode.Identity) (lines string, next int) {
	if identities != nil {
		l.set.Identities, l.published = identities, minute(n)
	}
	l.judgeTerms(minute(n), &source.Status{Connection: source.Connection{Address: "unix:///x", Problem: "no socket"}})
	lines, l.said = strings.TrimPrefix(l.log.String(), l.said), l.log.String()
	if l.nextTerm.IsZero() {
		return lines, -1
	}
	return lines, int(l.nextTerm.Sub(lateNoon).Minutes())
}

// forAnHour is an X.509-SVID that is valid from a minute on.
func forAnHour(from int) encode.Identity {
	return encode.Identity{Selection: encode.Selection{Block: encode.BlockX509SVID}, Serial: fmt.Sprint(from),
		NotBefore: minute(from), NotAfter: minute(from + 60)}
}

// TestSaysWhatIsLate: a warning at a quarter of the life, an error at its end, each
// once and with the cause; nothing of what is renewed in time.
func TestSaysWhatIsLate(t *testing.T) {
	l := newLateness()
	for _, step := range []struct {
		minute     int
		identities []encode.Identity
		says       string // words of the line; empty: there is none
		next       int
	}{
		{0, []encode.Identity{forAnHour(0)}, "", 45},
		{30, []encode.Identity{forAnHour(30)}, "", 75},
		{74, nil, "", 75},
		{75, nil, "level=WARN serial=30 left=15m0s socket", 90},
		{80, nil, "", 90},
		{81, []encode.Identity{forAnHour(30)}, "", 90}, // the same once more
		{90, nil, "level=ERROR serial=30 expired socket", -1},
		{95, nil, "", -1},
		{96, []encode.Identity{forAnHour(96)}, "", 141},
		{500, nil, "level=ERROR serial=96 expired", -1}, // the machine was asleep
		{501, nil, "", -1},
	} {
		lines, next := l.at(step.minute, step.identities)
		if n := strings.Count(lines, "\n"); n != min(len(step.says), 1) {
			t.Errorf("minute %d: %d lines: %q", step.minute, n, lines)
		}
		for _, word := range strings.Fields(step.says) {
			if !strings.Contains(lines, word) {
				t.Errorf("minute %d: no %q in %q", step.minute, word, lines)
			}
		}
		if next != step.next {
			t.Errorf("minute %d: the next one is %d, not %d", step.minute, next, step.next)
		}
	}
}

// TestTokenThatIsLate: a token need not say since when it is valid. Its life then
// begins when it is first seen, and not with each publish of something else.
func TestTokenThatIsLate(t *testing.T) {
	l := newLateness()
	token := encode.Identity{Selection: encode.Selection{Block: encode.BlockJWTSVID}, NotAfter: minute(100)}
	l.at(0, []encode.Identity{token})
	l.at(50, []encode.Identity{token, forAnHour(50)})
	if lines, next := l.at(74, nil); lines != "" || next != 75 {
		t.Errorf("%q, the next one is %d", lines, next)
	}
	if lines, _ := l.at(75, nil); !strings.Contains(lines, "left=25m0s") {
		t.Errorf("%q", lines)
	}
}

// TestThousandTokensThatAreLate are no thousand lines.
func TestThousandTokensThatAreLate(t *testing.T) {
	l := newLateness()
	var tokens []encode.Identity
	for i := range 1000 {
		tokens = append(tokens, encode.Identity{Selection: encode.Selection{Block: encode.BlockJWTSVID, Index: i}, NotAfter: minute(100)})
	}
	l.at(0, tokens)
	lines, _ := l.at(75, nil)
	if n := strings.Count(lines, "\n"); n != mostLate+1 || !strings.Contains(lines, "more=990") {
		t.Errorf("%d lines, the last ones %q", n, lines[max(0, len(lines)-500):])
	}
}

// TestBeginThatIsSetBack: an SVID that lives for seconds is renewed at half of
// them, and that is not late.
func TestBeginThatIsSetBack(t *testing.T) {
	l := newLateness()
	brief := forAnHour(0)
	brief.NotBefore, brief.NotAfter = lateNoon.Add(-10*time.Second), lateNoon.Add(4*time.Second)
	if lines, _ := l.at(0, []encode.Identity{brief}); lines != "" || !l.nextTerm.Equal(lateNoon.Add(3*time.Second)) {
		t.Errorf("%q, the next one is at %v", lines, l.nextTerm)
	}
}
