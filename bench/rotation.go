//go:build linux

package main

import (
	"fmt"
	"time"
)

// pause lets what a program does after it has told its process not disturb the
// next one's turn. settle does so for all of it: old generations go after a
// second.
const (
	pause  = 3 * time.Millisecond
	settle = 1500 * time.Millisecond
)

// A pair of rows of one kind of rotation: how long it takes from the push until
// the process has read the new pair, and what it costs.
type rotation struct {
	name      string
	disk      bool
	federated int
	changed   bool // with the SVID, all federated bundles change
	job
	budget func(latency, cost *row)
}

func rotations() (all []line) {
	short := func(r rotation) bool { return r.budget != nil && !r.changed }
	add := func(r rotation) {
		r.process, r.identities = true, max(r.identities, 1)
		all = append(all, line{r.name, short(r), r.run})
	}
	plain := func(latency, cost *row) {
		latency.atMost(1.25, "floor", 0)
		cost.atMost(1.6, "floor", 0)
	}
	add(rotation{name: "rotation, tmpfs", budget: plain})
	add(rotation{name: "rotation, disk", disk: true, budget: plain})
	for _, n := range []int{100, 1000} {
		for _, how := range []string{"merge", "separate"} {
			for _, changed := range []bool{false, true} {
				r := rotation{federated: n, changed: changed, job: job{federated: how}}
				state := "unchanged"
				if changed {
					state = "changed"
				}
				r.name = fmt.Sprintf("rotation, %d federated bundles (%s) %s", n, how, state)
				switch {
				case n == 1000 && !changed:
					r.budget = func(_, cost *row) { cost.atMost(0.25, "floor", 0) }
				case n == 1000 && how == "separate":
					r.budget = func(latency, _ *row) { latency.atMost(1, "floor", 12) }
				}
				add(r)
			}
		}
	}
	for _, n := range []int{10, 100} {
		add(rotation{name: fmt.Sprintf("rotation, one of %d identities", n), job: job{identities: n}})
	}
	for _, n := range []int{1, 100, 1000} {
		add(rotation{name: fmt.Sprintf("rotation beside %d audiences", n), job: job{audiences: n}})
	}
	return all
}

func (r rotation) run(b *bench) ([]row, error) {
	w, err := newWorld(r.identities, r.federated)
	if err != nil {
		return nil, err
	}
	r.root = b.tmpfs
	if r.disk {
		r.root = b.disk
	}
	programs, err := b.startAll(r.job, w)
	if err != nil {
		return nil, err
	}
	defer stopAll(programs)
	var rotate func() error
	samples := make([][]float64, len(programs))
	rotate = func() error {
		answer, err := w.next(r.changed)
		for i, p := range programs {
			var took time.Duration
			if err == nil {
				took, err = p.rotate(answer)
			}
			samples[i] = append(samples[i], milliseconds(took))
			time.Sleep(pause)
		}
		return err
	}
	for range 5 { // the first ones grow heaps
		if err := rotate(); err != nil {
			return nil, err
		}
	}
	clear(samples)
	before := make([]time.Duration, len(programs))
	for i, p := range programs {
		if before[i], err = cpu(p.cmd.Process.Pid); err != nil {
			return nil, err
		}
	}
	for range b.samples {
		if err := rotate(); err != nil {
			return nil, err
		}
	}
	time.Sleep(settle)
	latency, cost := newRow(r.name, "ms"), newRow(r.name+", CPU", "us")
	for i, p := range programs {
		after, err := cpu(p.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		latency.of[p.form.name] = measured(samples[i])
		cost.of[p.form.name] = one(float64((after - before[i]).Microseconds()) / float64(b.samples))
	}
	if r.budget != nil {
		r.budget(&latency, &cost)
	}
	return []row{latency, cost}, nil
}

// storm rotates as fast as the process follows.
func storm(p *program, w *world, times int) error {
	for range times {
		answer, err := w.next(false)
		if err != nil {
			return err
		}
		if _, err := p.rotate(answer); err != nil {
			return err
		}
	}
	return nil
}
