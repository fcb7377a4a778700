//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// A soak rotates ten times a second and has an outage every minute.
const (
	soakPause   = 100 * time.Millisecond
	outageEvery = time.Minute
	outageLasts = 2 * time.Second
)

// soak fails unless what svidhelper holds is flat. A goroutine that leaked with
// each rotation would show as memory, 2 kB and more at a time.
func (b *bench) soak(length time.Duration) error {
	w, err := newWorld(1, 0)
	if err != nil {
		return err
	}
	feed, err := newFeed(b.socket(), w)
	if err != nil {
		return err
	}
	defer feed.stop()
	p, err := start(b.forms[0], job{root: b.disk, identities: 1, process: true}, feed)
	if err != nil {
		return err
	}
	defer p.stop()

	var latency []float64
	held := make([][]float64, len(holdings))
	rotate := time.NewTicker(soakPause)
	defer rotate.Stop()
	began := time.Now()
	for outage := began.Add(outageEvery); time.Since(began) < length; <-rotate.C {
		if time.Now().After(outage) {
			outage = outage.Add(outageEvery)
			feed.stop()
			time.Sleep(outageLasts)
			if err := feed.serve(); err != nil {
				return err
			}
		}
		answer, err := w.next(false)
		if err != nil {
			return err
		}
		took, err := p.rotate(answer)
		if err != nil {
			return err
		}
		latency = append(latency, milliseconds(took))
		for i, h := range holdings {
			v, err := h.of(p)
			if err != nil {
				return err
			}
			held[i] = append(held[i], v)
		}
	}
	l := measured(latency)
	fmt.Printf("%d rotations in %s: %.2f ms to the process at the median, %.2f at the 99th percentile\n", len(latency), length, l.p50, l.p99)
	for i, h := range holdings {
		err = errors.Join(err, h.flat(held[i]))
	}
	return err
}

// A holding is what must be as much at the end as it was after the beginning.
type holding struct {
	what, unit string
	of         func(*program) (float64, error)
	slack      float64 // for what it is by chance
}

var holdings = []holding{
	{"resident memory", "MB", func(p *program) (float64, error) { return resident(p.cmd.Process.Pid) }, 1},
	{"descriptors", "", func(p *program) (float64, error) { return descriptors(p.cmd.Process.Pid) }, 2},
	{"threads", "", func(p *program) (float64, error) { return threads(p.cmd.Process.Pid) }, 2},
	{"entries of the directory", "", func(p *program) (float64, error) {
		entries, err := os.ReadDir(p.certs)
		return float64(len(entries)), err
	}, 2},
}

// flat compares the second fifth of the run with the last: in the first, the
// heap grows to its size.
func (h holding) flat(samples []float64) error {
	fifth := len(samples) / 5
	if fifth == 0 {
		return errors.New("the soak is too short")
	}
	first, last := measured(samples[fifth:2*fifth]).p50, measured(samples[4*fifth:]).p50
	fmt.Printf("%s: %.1f %s in the second fifth of the run, %.1f in the last\n", h.what, first, h.unit, last)
	if last > first*1.05+h.slack {
		return fmt.Errorf("%s: not flat", h.what)
	}
	return nil
}
