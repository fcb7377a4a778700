//go:build linux

// Command bench measures svidhelper beside a floor, the least that a rotation
// can cost, and beside spiffe-helper where there is one. All of them are driven
// by the same Workload API in one run, a sample of each in turn, so that the
// ratios hold on a machine that is slow or busy. BENCHMARKS.md says what each
// line means. It ends with status 1 when a budget is broken.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A line is a measurement; it yields rows of the table.
type line struct {
	name  string
	short bool // part of a short run
	run   func(*bench) ([]row, error)
}

func lines() []line {
	return append(rotations(),
		line{"one-shot", true, oneShot},
		line{"first start", true, firstStart(0)},
		line{"first start, 1 audience", false, firstStart(1)},
		line{"first start, 100 audiences", false, firstStart(100)},
		line{"first start, 1000 audiences", false, firstStart(1000)},
		line{"reconnect", false, reconnect},
		line{"memory at start", false, memory(0)},
		line{"memory after 300", true, memory(300)},
		line{"memory after 10000", false, memory(10000)},
		line{"memory of 50", true, crowd},
		line{"idle", false, idle},
		line{"size", true, size},
	)
}

// A bench is one run.
type bench struct {
	forms       []form
	samples     int
	tmpfs, disk string // directories of this run
	sockets     int
}

func main() {
	dir := filepath.Dir(os.Args[0])
	ours := flag.String("binary", "bin/svidhelper", "svidhelper's `path`")
	theirs := flag.String("spiffe-helper", os.Getenv("SPIFFE_HELPER"), "spiffe-helper's `path`, to measure it too")
	samples := flag.Int("samples", 200, "how often each line is measured")
	short := flag.Bool("short", false, "the lines and samples that take less than a minute")
	only := flag.String("only", "", "the lines whose name contains this `text`")
	tmpfs := flag.String("tmpfs", "/dev/shm", "a `directory` in memory")
	disk := flag.String("disk", dir, "a `directory` on a disk")
	soak := flag.Duration("soak", 0, "in place of the lines: rotations and outages for so long")
	flag.Parse()

	b := &bench{samples: *samples, forms: forms(*ours, filepath.Join(dir, "floor"), *theirs, abs(filepath.Join(dir, "child")))}
	var broken int
	err := b.inside(*tmpfs, *disk, func() (err error) {
		if *soak > 0 {
			return b.soak(*soak)
		}
		if *short {
			b.samples = min(b.samples, 40)
		}
		broken, err = b.table(*only, *short)
		return err
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if broken > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d budgets are broken\n", broken)
		os.Exit(1)
	}
}

// inside runs f while the run's directories exist.
func (b *bench) inside(tmpfs, disk string, f func() error) (err error) {
	if b.tmpfs, err = os.MkdirTemp(tmpfs, "svidhelper-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmpfs)
	if b.disk, err = os.MkdirTemp(abs(disk), "run"); err != nil {
		return err
	}
	defer os.RemoveAll(b.disk)
	return f()
}

func (b *bench) table(only string, short bool) (broken int, err error) {
	var rows []row
	for _, l := range lines() {
		if short && !l.short || !strings.Contains(l.name, only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", l.name)
		more, err := l.run(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", l.name, err)
		}
		rows = append(rows, more...)
	}
	var names []string
	for _, f := range b.forms {
		names = append(names, f.name)
	}
	return print(os.Stdout, names, rows), nil
}

// startAll starts one program of each form that can do the job, each with a
// feed of its own.
func (b *bench) startAll(j job, w *world) (programs []*program, err error) {
	for _, f := range b.forms {
		if !f.can(j) {
			continue
		}
		feed, err := newFeed(b.socket(), w)
		if err == nil {
			var p *program
			if p, err = start(f, j, feed); err == nil {
				programs = append(programs, p)
				continue
			}
			feed.stop()
		}
		stopAll(programs)
		return nil, err
	}
	return programs, nil
}

func stopAll(programs []*program) {
	for _, p := range programs {
		p.stop()
		p.feed.stop()
	}
}

func (b *bench) socket() string {
	b.sockets++
	return filepath.Join(b.tmpfs, fmt.Sprint(b.sockets, ".sock"))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func abs(path string) string {
	a, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return a
}
