//go:build !windows

package main

import (
	"os"
	"os/signal"
)

// subscribe has c receive signals.
func subscribe(c chan<- os.Signal, signals ...os.Signal) { signal.Notify(c, signals...) }

// serve runs the program.
func serve(args []string) int { return dispatch(args, os.Stdout, os.Stderr) }
