//go:build linux

package main

import (
	"fmt"
	"time"
)

// oneShot is exec to exit of a run that writes everything once.
func oneShot(b *bench) ([]row, error) {
	w, err := newWorld(1, 0)
	if err != nil {
		return nil, err
	}
	r := newRow("one-shot, exec to exit", "ms")
	samples := map[string][]float64{}
	feed, err := newFeed(b.socket(), w)
	if err != nil {
		return nil, err
	}
	defer feed.stop()
	for range b.samples {
		for _, f := range b.forms {
			p, err := prepare(f, job{root: b.tmpfs, identities: 1}, feed, f.once)
			if err != nil {
				return nil, err
			}
			began := time.Now()
			if err := p.cmd.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
			samples[f.name] = append(samples[f.name], milliseconds(time.Since(began)))
			p.remove()
		}
	}
	r.take(samples)
	r.atMost(1.3, "floor", 0)
	r.atMost(1, "spiffe-helper", 0)
	return []row{r}, nil
}

// firstStart is exec of the helper until its process has read the first pair.
func firstStart(audiences int) func(b *bench) ([]row, error) {
	return func(b *bench) ([]row, error) {
		w, err := newWorld(1, 0)
		if err != nil {
			return nil, err
		}
		r := newRow(fmt.Sprintf("first start to process start, %d audiences", audiences), "ms")
		samples := map[string][]float64{}
		for range max(b.samples/4, 10) {
			programs, err := b.startAll(job{root: b.tmpfs, identities: 1, audiences: audiences, process: true}, w)
			if err != nil {
				return nil, err
			}
			for _, p := range programs {
				samples[p.form.name] = append(samples[p.form.name], milliseconds(p.ready.Sub(p.begun)))
			}
			stopAll(programs)
		}
		r.take(samples)
		return []row{r}, nil
	}
}

// reconnect is the return of the agent's socket until the process has read what
// the agent then says.
func reconnect(b *bench) ([]row, error) {
	const outage = 300 * time.Millisecond
	w, err := newWorld(1, 0)
	if err != nil {
		return nil, err
	}
	programs, err := b.startAll(job{root: b.tmpfs, identities: 1, process: true}, w)
	if err != nil {
		return nil, err
	}
	defer stopAll(programs)
	r := newRow("reconnect and rotation after an outage", "ms")
	samples := map[string][]float64{}
	for range max(b.samples/10, 3) {
		answer, err := w.next(false)
		if err != nil {
			return nil, err
		}
		for _, p := range programs {
			p.feed.stop()
			time.Sleep(outage)
			p.feed.push(answer)
			began := time.Now()
			if err := p.feed.serve(); err != nil {
				return nil, err
			}
			at, err := p.await(leafOf(answer))
			if err != nil {
				return nil, err
			}
			samples[p.form.name] = append(samples[p.form.name], milliseconds(at.Sub(began)))
		}
	}
	r.take(samples)
	r.atMost(0, "", 100)
	return []row{r}, nil
}
