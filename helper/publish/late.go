package publish

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/source"
)

// An SVID on disk is renewed at half of its life. One that is not is said to be
// late at a quarter of its life, while there is time to do something, and again
// when it has expired. That nothing happens is no event: the publisher's timer
// tells.

// A term is how far an SVID on disk has come in its life.
type term struct {
	began, ends time.Time // of its life
	said        stage     // what the log has said of it
}

// A stage is a part of an SVID's life.
type stage uint8

const (
	fresh stage = iota
	late        // a quarter of its life is left, at most
	expired
)

// stage returns where a term stands, and when the next stage begins; zero: never.
func (t term) stage(now time.Time) (stage, time.Time) {
	quarter := t.ends.Add(-t.ends.Sub(t.began) / 4)
	switch {
	case now.Before(quarter):
		return fresh, quarter
	case now.Before(t.ends):
		return late, t.ends
	default:
		return expired, time.Time{}
	}
}

// setBack is how far, at most, an issuer sets the begin of an SVID back, for clocks
// that differ. It is no part of the life that a renewal goes by.
const setBack = time.Minute

// mostLate is how many lines the log gets at once of SVIDs that are late. There
// may be a thousand tokens.
const mostLate = 10

// judgeTerms says which SVIDs on disk are late or have expired, and why, each
// once. It sets when it is to be called again.
func (o *output) judgeTerms(now time.Time, status *source.Status) {
	if o.termsOf.Equal(o.published) && (o.nextTerm.IsZero() || now.Before(o.nextTerm)) {
		return
	}
	o.termsOf, o.nextTerm = o.published, time.Time{}
	terms := make(map[encode.Selection]term, len(o.terms))
	more := map[stage]int{}
	for _, id := range o.identities() {
		if id.NotAfter.IsZero() {
			continue
		}
		t := o.terms[id.Selection]
		if !t.ends.Equal(id.NotAfter) {
			t = term{began: id.NotBefore, ends: id.NotAfter}
			if t.began.IsZero() || now.Sub(t.began) < setBack {
				t.began = now // a token need not say
			}
		}
		at, next := t.stage(now)
		if at > t.said {
			t.said = at
			if more[at]++; more[at] <= mostLate {
				o.sayLate(at, id, now, o.whyLate(status))
			}
		}
		if !next.IsZero() && (o.nextTerm.IsZero() || next.Before(o.nextTerm)) {
			o.nextTerm = next
		}
		terms[id.Selection] = t
	}
	o.terms = terms
	for at, n := range more {
		if n > mostLate {
			o.log.Log(context.Background(), at.level(), at.message()+": there are more of them", "more", n-mostLate, "error", o.whyLate(status))
		}
	}
}

func (s stage) level() slog.Level {
	if s == expired {
		return slog.LevelError
	}
	return slog.LevelWarn
}

func (s stage) message() string {
	if s == expired {
		return "an SVID on disk has expired"
	}
	return "an SVID on disk is not renewed in time"
}

func (o *output) sayLate(at stage, id encode.Identity, now time.Time, cause string) {
	attrs := append(identityAttrs(id), "expires", id.NotAfter.UTC())
	if at == late {
		attrs = append(attrs, "left", id.NotAfter.Sub(now).Round(time.Second).String())
	}
	o.log.Log(context.Background(), at.level(), at.message(), append(attrs, "error", cause)...)
}

// whyLate is why what is on disk is not renewed.
func (o *output) whyLate(status *source.Status) string {
	if o.err != nil {
		return "what came cannot be published: " + o.err.Error()
	}
	return cmp.Or(o.problem, status.Problem(), "the Workload API has sent no newer SVID; it is connected")
}
