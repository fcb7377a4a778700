package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/supervisor"
)

func runRun(args []string, stdout, stderr io.Writer) int {
	return supervise(args, false, stdout, stderr)
}

// runDropIn is run as spiffe-helper's users call it: arguments that are no
// flags are ignored, as "-daemon-mode false" makes one.
func runDropIn(args []string, stdout, stderr io.Writer) int {
	return supervise(args, true, stdout, stderr)
}

func supervise(args []string, ignoreArguments bool, stdout, stderr io.Writer) int {
	fs := newFlags("run")
	var o options
	o.register(fs)
	fs.StringVar(&o.flags.OnRotation, "on-rotation", "", "what the process is told of a rotation: a `signal`, restart or none")
	daemon := fs.Bool("daemon-mode", true, "false: fetch once and exit, whatever the file says")
	showVersion := fs.Bool("version", false, "print the version and exit")
	if code, done := o.parse(fs, args, stdout, stderr); done {
		return code
	}
	if *showVersion {
		return runVersion(nil, stdout, stderr)
	}
	if !ignoreArguments && refuseArguments(fs, stderr) {
		return exitUsage
	}
	if isSet(fs, "daemon-mode") {
		o.flags.DaemonMode = daemon
	}
	c, log, code := o.load(stderr)
	if c == nil {
		return code
	}
	log.Info(versionLine())
	if c.OneShot {
		return exit(fetchThen(o.flags.Command, c, log), stderr)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // nearly always idle, and many on a machine: memory is worth more than time
	}
	signals := make(chan os.Signal, 1024) // a flood must not crowd out a SIGTERM
	subscribe(signals, supervisor.Signals()...)
	return exit(helper.Run(context.Background(), c, log, helper.Options{
		Signals: signals,
		Version: version,
		File:    o.path(),
		Load:    o.reload,
		Level:   &o.level,
	}), stderr)
}
