package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/helper/config"
)

func runFetch(args []string, stdout, stderr io.Writer) int {
	switch {
	case len(args) > 0 && args[0] == "jwt":
		return runFetchJWT(args[1:], stdout, stderr)
	case len(args) > 0 && args[0] == "x509":
		return runFetchX509(args[1:], stdout, stderr)
	}
	fs := newFlags("fetch")
	var o options
	o.register(fs)
	timeout := fs.Duration("timeout", 0, "give up after this `duration` (default the configuration's, or 60s)")
	if code, done := o.parse(fs, args, stdout, stderr); done {
		return code
	}
	if refuseArguments(fs, stderr) {
		return exitUsage
	}
	if refuseNegative(*timeout, stderr) {
		return exitUsage
	}
	command := o.flags.Command
	o.flags.Command, o.flags.Fetch = nil, true // it takes our place, it is not supervised
	c, log, code := o.load(stderr)
	if c == nil {
		return code
	}
	if *timeout > 0 {
		c.Timeout = *timeout
	}
	return exit(fetchThen(command, c, log), stderr)
}

// refuseNegative reports a timeout that cannot be meant.
func refuseNegative(timeout time.Duration, stderr io.Writer) bool {
	if timeout >= 0 {
		return false
	}
	fmt.Fprintf(stderr, "svidhelper: -timeout %v: a duration cannot be negative\n", timeout)
	return true
}

// fetchThen fetches once, and then executes a command, if there is one, in the
// helper's place.
func fetchThen(command []string, c *config.Config, log *slog.Logger) error {
	stopped, err := once(c, log)
	switch {
	case err != nil || len(command) == 0:
		return err
	case stopped:
		return errors.New("stopped when everything had been written; the command was not executed")
	}
	return become(command)
}

// once fetches once; SIGTERM and SIGINT end it early. stopped says that one of
// them came, be it too late for that: from now on they end the program.
func once(c *config.Config, log *slog.Logger) (stopped bool, err error) {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	came := make(chan os.Signal, 1)
	signal.Notify(came, os.Interrupt, syscall.SIGTERM)
	err = helper.Once(ctx, c, log)
	release()
	signal.Stop(came) // what has come until now is in the channel
	return len(came) > 0, err
}
