package helper

import (
	"context"
	"fmt"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/systemd"
)

// What systemd is told of the daemon.

// Changed hears that there may be something new to report.
func (d *daemon) Changed() <-chan struct{} { return d.events.Changed() }

// Report is how the daemon is doing.
func (d *daemon) Report() systemd.Report {
	s := d.status()
	r := systemd.Report{Published: true, Started: true}
	for i := range s.Outputs {
		r.Published = r.Published && s.Outputs[i].Complete
	}
	if p := d.running.Load(); p != nil {
		st := p.Status()
		r.Started = st.Starts > 0
		r.Published = r.Published || r.Started       // it can do without some
		r.Ending = st.Ending && p == d.wanted.Load() // not for another process
		r.Relays = p.Spec().Notify
	}
	r.Text = summary(&s, time.Now())
	return r
}

// Turns waits until the loops of the daemon have come round once.
func (d *daemon) Turns(ctx context.Context) error {
	if err := d.publisher.Turns(ctx); err != nil {
		return fmt.Errorf("publishing takes too long, a disk may hang: %w", err)
	}
	if p := d.running.Load(); p != nil {
		if err := p.Turns(ctx); err != nil {
			return fmt.Errorf("looking after the process takes too long: %w", err)
		}
	}
	return nil
}

// summary says in a line which identity is on disk and until when, or why the
// daemon is not ready.
func summary(s *health.Status, now time.Time) string {
	var first encode.Identity // that expires
	count := 0
	for i := range s.Outputs {
		for _, id := range s.Outputs[i].Identities {
			if count++; count == 1 || id.NotAfter.Before(first.NotAfter) {
				first = id
			}
		}
	}
	text := "no identity on disk"
	if count > 0 {
		text = fmt.Sprintf("%s until %s", first.ID, first.NotAfter.UTC().Format(time.RFC3339))
	}
	if count > 1 {
		text += fmt.Sprintf(" (and %d more)", count-1)
	}
	if ok, why := s.Ready(now); !ok {
		text = "not ready: " + why[0] + "; " + text
	}
	return text
}
