package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/helper/config"
)

func runFetch(args []string, _, stderr io.Writer) int {
	fs := newFlags("fetch", stderr)
	var o options
	o.register(fs)
	timeout := fs.Duration("timeout", 0, "give up after this `duration` (default the configuration's, or 60s)")
	if code, done := o.parse(fs, args, stderr); done {
		return code
	}
	if refuseArguments(fs, stderr) {
		return exitUsage
	}
	command := o.flags.Command
	o.flags.Command, o.flags.Fetch = nil, true // it takes our place, it is not supervised
	c, log, ok := o.load(stderr)
	if !ok {
		return exitFailure
	}
	if *timeout > 0 {
		c.Timeout = *timeout
	}
	if err := once(c, log); err != nil || len(command) == 0 {
		return exit(err, stderr)
	}
	return exit(become(command), stderr)
}

// once fetches once; SIGTERM and SIGINT end it early.
func once(c *config.Config, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return helper.Once(ctx, c, log)
}
