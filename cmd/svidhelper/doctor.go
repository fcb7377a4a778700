package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/doctor"
	"github.com/svidhelper/svidhelper/helper/source"
)

// doctorPatience is how long doctor waits for the Workload API, unless it is told: a
// little longer than the source does for a sign of life from a socket.
const doctorPatience = 15 * time.Second

func runDoctor(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("doctor")
	var o options
	o.register(fs)
	fs.StringVar(&o.flags.OnRotation, "on-rotation", "", "as for run: what the process is told of a rotation")
	timeout := fs.Duration("timeout", doctorPatience, "wait this `duration` for the Workload API's answers")
	asJSON := fs.Bool("json", false, "print the findings as JSON")
	if code, done := o.parse(fs, args, stdout, stderr); done {
		return code
	}
	if refuseArguments(fs, stderr) || refuseNegative(*timeout, stderr) {
		return exitUsage
	}
	var r doctor.Report
	c, diagnostics := o.read()
	switch {
	case diagnostics.OfCommandLine():
		fmt.Fprint(stderr, diagnostics)
		return exitUsage
	case o.defaultIsMissing():
		c, diagnostics = o.withoutFile()
		r.Configuration("", diagnostics)
	default:
		r.Configuration(o.path(), diagnostics)
	}
	if c != nil {
		ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer release()
		r.Examine(ctx, c, *timeout)
	}
	write := r.WriteText
	if *asJSON {
		write = r.WriteJSON
	}
	if err := write(stdout); err != nil {
		return exit(err, stderr)
	}
	if r.Count(doctor.Problem) > 0 {
		return exitFailure
	}
	return exitOK
}

// withoutFile is a configuration that has nothing but the Workload API's address.
func (o *options) withoutFile() (*config.Config, config.Diagnostics) {
	none := config.Diagnostic{Severity: config.Warning, File: defaultFile,
		Message: "it is not here, so only the Workload API is looked at", Hint: "-config names another file"}
	address, diagnostics := o.flags.AgentAddress, config.Diagnostics(nil)
	if address == "" {
		address, diagnostics = environmentAddress()
	} else if a, err := source.ParseAddress(address, runtime.GOOS); err != nil {
		diagnostics = config.Diagnostics{{File: "-agent-address", Message: fmt.Sprintf("%q: %v", address, err)}}
	} else {
		address = a.String()
	}
	diagnostics = append(config.Diagnostics{none}, diagnostics...)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	return &config.Config{AgentAddress: address}, diagnostics
}
