package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/source"
)

// agentPatience is how long an agent may take to answer for one token.
const agentPatience = 30 * time.Second

// checkOptions are the flags of check.
type checkOptions struct {
	options
	dir, bundle, audience, passwordFile string
	minRemaining                        time.Duration
	asJSON, agent, ready                bool
}

func (o *checkOptions) register(fs *flag.FlagSet) {
	fs.StringVar(&o.file, "config", "", "check what the outputs of this `file` have on disk (default "+defaultFile+", when nothing else is named)")
	fs.StringVar(&o.dir, "dir", "", "check what is in this `directory`, whatever wrote it")
	fs.BoolVar(&o.ready, "ready", false, "ask the svidhelper that runs with the file, or publishes in the directory, whether it is ready: a probe that needs no shell")
	fs.BoolVar(&o.asJSON, "json", false, "print JSON, for machines")
	fs.DurationVar(&o.minRemaining, "min-remaining", 0, "an SVID that is valid for less than this `duration` is a problem")
	fs.StringVar(&o.bundle, "bundle", "", "verify SVIDs against this `file`: PEM, a JWKS, a SPIFFE bundle or a bundle map")
	fs.StringVar(&o.audience, "audience", "", "the `audience` that each JWT-SVID has to have")
	fs.BoolVar(&o.agent, "agent", false, "ask the Workload API too whether it accepts each JWT-SVID")
	fs.StringVar(&o.flags.AgentAddress, "agent-address", "", "the Workload API's `address`, instead of the file's and of "+addressVariable)
	fs.StringVar(&o.passwordFile, "password-file", "", "a `file` with the password of keystores for which no configuration says it")
}

func runCheck(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("check")
	var o checkOptions
	o.register(fs)
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code
	}
	if o.minRemaining < 0 {
		fmt.Fprintf(stderr, "svidhelper: -min-remaining %v: a duration cannot be negative\n", o.minRemaining)
		return exitUsage
	}
	if o.file != "" && o.dir != "" || fs.NArg() > 0 && o.file+o.dir != "" {
		fmt.Fprintln(stderr, "svidhelper: check wants one of -config, -dir and files")
		return exitUsage
	}
	if i := slices.IndexFunc(fs.Args(), func(name string) bool { return strings.HasPrefix(name, "-") }); i >= 0 {
		fmt.Fprintf(stderr, "svidhelper: %q stands behind a file: flags come first\n", fs.Arg(i))
		return exitUsage
	}
	if o.ready {
		if fs.NArg() > 0 {
			fmt.Fprintln(stderr, "svidhelper: check -ready asks a running svidhelper: it wants -config or -dir, and no files")
			return exitUsage
		}
		return o.askReady(o.dir, stdout, stderr)
	}
	sets, code := o.sets(fs.Args(), stderr)
	if code != exitOK {
		return code
	}
	how := check.Options{Now: time.Now(), MinRemaining: o.minRemaining, Audience: o.audience}
	if o.bundle != "" {
		how.Bundle = &helper.NamedFiles(o.bundle)[0]
	}
	if o.agent {
		how.Validate = validator(o.flags.AgentAddress)
	}
	return o.print(check.Check(sets, how), stdout, stderr)
}

// sets reads what is to be checked, and finds out where the Workload API is, if it
// is to be asked. If the code is not exitOK, what is wrong has been printed.
func (o *checkOptions) sets(names []string, stderr io.Writer) (sets []check.Set, code int) {
	var err error
	switch {
	case len(names) > 0:
		sets = []check.Set{helper.NamedFiles(names...)}
	case o.dir != "":
		var set check.Set
		set, err = helper.DirectoryFiles(o.dir)
		sets = []check.Set{set}
	default:
		c, _, code := o.load(stderr)
		if c == nil {
			return nil, code
		}
		o.flags.AgentAddress = c.AgentAddress
		sets = helper.ConfiguredFiles(c)
	}
	if err == nil && o.passwordFile != "" {
		err = helper.GivePassword(sets, o.passwordFile)
	}
	if err != nil {
		return nil, exit(err, stderr)
	}
	if o.agent && o.flags.AgentAddress == "" {
		address, diagnostics := environmentAddress()
		if fmt.Fprint(stderr, diagnostics); address == "" {
			return nil, exitFailure
		}
		o.flags.AgentAddress = address
	}
	return sets, exitOK
}

// validator asks the Workload API at an address.
func validator(address string) func(token, audience string) error {
	return func(token, audience string) error {
		ctx, cancel := context.WithTimeout(context.Background(), agentPatience)
		defer cancel()
		return source.ValidateJWTSVID(ctx, address, token, audience)
	}
}

func (o *checkOptions) print(r *check.Report, stdout, stderr io.Writer) int {
	write := r.WriteText
	if o.asJSON {
		write = r.WriteJSON
	}
	if err := write(stdout); err != nil {
		return exit(err, stderr)
	}
	if !r.Usable {
		return exitFailure
	}
	return exitOK
}
