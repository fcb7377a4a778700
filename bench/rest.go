//go:build linux

package main

import (
	"fmt"
	"os"
	"time"
)

// memory is what a program holds: at its start, and after rotations.
func memory(rotations int) func(b *bench) ([]row, error) {
	return func(b *bench) ([]row, error) {
		w, err := newWorld(1, 0)
		if err != nil {
			return nil, err
		}
		times := 5 // programs of each form: one alone is at any point of its heap's cycle
		if rotations > 1000 {
			times = 1
		}
		samples := map[string][]float64{}
		for range times {
			programs, err := b.startAll(job{root: b.tmpfs, identities: 1, process: true}, w)
			if err != nil {
				return nil, err
			}
			for _, p := range programs {
				if err := storm(p, w, rotations); err != nil {
					return nil, err
				}
			}
			time.Sleep(settle)
			for _, p := range programs {
				mb, err := resident(p.cmd.Process.Pid)
				if err != nil {
					return nil, err
				}
				samples[p.form.name] = append(samples[p.form.name], mb)
			}
			stopAll(programs)
		}
		r := newRow(fmt.Sprintf("resident memory after %d rotations", rotations), "MB")
		for name, s := range samples {
			r.of[name] = one(measured(s).p50)
		}
		if rotations == 300 {
			r.atMost(1.05, "floor", 0)
		}
		return []row{r}, nil
	}
}

// crowd is the proportional memory of one of many on a machine.
func crowd(b *bench) ([]row, error) {
	const many = 50
	w, err := newWorld(1, 0)
	if err != nil {
		return nil, err
	}
	programs := make([][]*program, len(b.forms))
	for i, f := range b.forms {
		feed, err := newFeed(b.socket(), w)
		if err != nil {
			return nil, err
		}
		defer feed.stop()
		for range many {
			p, err := start(f, job{root: b.tmpfs, identities: 1, process: true}, feed)
			if err != nil {
				return nil, err
			}
			defer p.stop()
			programs[i] = append(programs[i], p)
		}
	}
	for range 3 {
		answer, err := w.next(false)
		if err != nil {
			return nil, err
		}
		for _, crowd := range programs {
			crowd[0].feed.push(answer)
			for _, p := range crowd {
				if _, err := p.await(leafOf(answer)); err != nil {
					return nil, err
				}
			}
		}
	}
	time.Sleep(settle)
	r := newRow(fmt.Sprintf("proportional memory of one of %d", many), "MB")
	for _, crowd := range programs {
		sum := 0.0
		for _, p := range crowd {
			mb, err := proportional(p.cmd.Process.Pid)
			if err != nil {
				return nil, err
			}
			sum += mb
		}
		r.of[crowd[0].form.name] = one(sum / many)
	}
	r.atMost(1.3, "floor", 0)
	return []row{r}, nil
}

// idle counts wake-ups and CPU while nothing happens.
func idle(b *bench) ([]row, error) {
	w, err := newWorld(1, 0)
	if err != nil {
		return nil, err
	}
	programs, err := b.startAll(job{root: b.tmpfs, identities: 1, process: true}, w)
	if err != nil {
		return nil, err
	}
	defer stopAll(programs)
	for _, p := range programs {
		if err := storm(p, w, 3); err != nil {
			return nil, err
		}
	}
	time.Sleep(10 * time.Second) // what follows a rotation is over
	woken, used := newRow("wake-ups in an idle minute", "wake-ups"), newRow("CPU in an idle minute", "us")
	sign := -1.0
	sample := func() error {
		for _, p := range programs {
			n, err := wakeups(p.cmd.Process.Pid)
			if err != nil {
				return err
			}
			t, err := cpu(p.cmd.Process.Pid)
			if err != nil {
				return err
			}
			woken.of[p.form.name] = one(woken.of[p.form.name].p50 + sign*n)
			used.of[p.form.name] = one(used.of[p.form.name].p50 + sign*float64(t.Microseconds()))
		}
		sign = 1
		return nil
	}
	if err := sample(); err != nil {
		return nil, err
	}
	time.Sleep(time.Minute)
	if err := sample(); err != nil {
		return nil, err
	}
	woken.atMost(1, "floor", 5) // the runtime's own, by chance here or there
	return []row{woken, used}, nil
}

// size is that of the stripped binaries.
func size(b *bench) ([]row, error) {
	r := newRow("stripped binary", "MB")
	for _, f := range b.forms {
		info, err := os.Stat(f.binary)
		if err != nil {
			return nil, err
		}
		r.of[f.name] = one(float64(info.Size()) / 1e6)
	}
	r.atMost(0, "", 16)
	return []row{r}, nil
}
