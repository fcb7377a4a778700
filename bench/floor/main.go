//go:build linux

// Command floor does the least that a rotation can cost: it watches the
// Workload API with go-spiffe, writes certificate, key and bundle of every
// X.509-SVID into a new directory, syncs, flips a link and signals a process.
// The bench measures svidhelper against it. It checks nothing, keeps nothing
// that did not change, and repairs nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func main() {
	address := flag.String("address", "", "the Workload API")
	w := writer{}
	flag.StringVar(&w.dir, "dir", "", "the directory to write to")
	flag.StringVar(&w.federated, "federated", "", "federated bundles: merge or separate")
	once := flag.Bool("once", false, "write once and exit")
	flag.Parse()

	ctx, cancel := context.WithCancelCause(context.Background())
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(*address))
	if err != nil {
		log.Fatal(err)
	}
	if *once {
		x, err := client.FetchX509Context(ctx)
		if err == nil {
			err = w.write(x)
		}
		if err != nil {
			log.Fatal(err)
		}
		return
	}
	err = client.WatchX509Context(ctx, &watcher{writer: w, command: flag.Args(), failed: cancel})
	log.Fatal(context.Cause(ctx), err)
}

type watcher struct {
	writer
	command []string
	process *os.Process
	failed  context.CancelCauseFunc
}

func (w *watcher) OnX509ContextWatchError(error) {}

func (w *watcher) OnX509ContextUpdate(x *workloadapi.X509Context) {
	if err := w.write(x); err != nil {
		w.failed(err)
		return
	}
	if err := w.tell(); err != nil {
		w.failed(err)
	}
	if err := w.sweep(); err != nil {
		w.failed(err)
	}
}

// tell starts the process, or signals it when it runs.
func (w *watcher) tell() error {
	if w.process != nil {
		return w.process.Signal(syscall.SIGHUP)
	}
	if len(w.command) == 0 {
		return nil
	}
	cmd := exec.Command(w.command[0], w.command[1:]...)
	cmd.Stderr = os.Stderr
	err := cmd.Start()
	w.process = cmd.Process
	return err
}

type writer struct {
	dir, federated    string
	current, previous string // generations
	count             int
}

// write makes a new generation and flips the link to it.
func (w *writer) write(x *workloadapi.X509Context) error {
	w.count++
	name := fmt.Sprintf("gen-%d-%d", os.Getpid(), w.count)
	g := filepath.Join(w.dir, name)
	if err := os.Mkdir(g, 0o755); err != nil {
		return err
	}
	for i, svid := range x.SVIDs {
		cert, key, err := svid.Marshal()
		if err != nil {
			return err
		}
		bundle, err := x.Bundles.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
		if err != nil {
			return err
		}
		ca, err := bundle.Marshal()
		if err != nil {
			return err
		}
		for _, b := range x.Bundles.Bundles() {
			if w.federated == "" || b.TrustDomain() == bundle.TrustDomain() {
				continue
			}
			foreign, err := b.Marshal()
			if err != nil {
				return err
			}
			if w.federated == "merge" {
				ca = append(ca, foreign...)
			} else if err := write(g, b.TrustDomain().Name()+".pem", foreign, 0o644); err != nil {
				return err
			}
		}
		prefix := "svid"
		if i > 0 {
			prefix = fmt.Sprint("svid.", i)
		}
		if err := write(g, prefix+".pem", cert, 0o644); err != nil {
			return err
		}
		if err := write(g, prefix+"_key.pem", key, 0o600); err != nil {
			return err
		}
		if err := write(g, prefix+"_bundle.pem", ca, 0o644); err != nil {
			return err
		}
	}
	if err := sync(g); err != nil {
		return err
	}
	link := filepath.Join(w.dir, "..next")
	if err := os.Symlink(name, link); err != nil {
		return err
	}
	w.previous, w.current = w.current, g
	return os.Rename(link, filepath.Join(w.dir, "..data"))
}

// sweep makes the flip durable and removes the previous generation.
func (w *writer) sweep() error {
	if err := sync(w.dir); err != nil || w.previous == "" {
		return err
	}
	return os.RemoveAll(w.previous)
}

func write(dir, name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
