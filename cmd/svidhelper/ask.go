package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/svidhelper/svidhelper/helper/ask"
)

// askReady is check -ready: it asks the helper that publishes in a directory, or
// to the outputs of a configuration file. Why it is not ready is on stdout.
func (o *options) askReady(dir string, stdout, stderr io.Writer) int {
	answers, code := o.ask(dir, ask.Ready, stdout, stderr)
	for _, a := range answers {
		for _, reason := range a.Reasons {
			fmt.Fprintln(stdout, reason)
		}
		if !a.Ready {
			code = exitFailure
		}
	}
	if code == exitOK {
		fmt.Fprintln(stdout, "ready")
	}
	return code
}

func runLevel(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("level")
	var o options
	fs.StringVar(&o.file, "config", "", "ask the svidhelper that runs with this `file` (default "+defaultFile+", unless -dir is given)")
	dir := fs.String("dir", "", "ask the svidhelper that publishes in this `directory`")
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code
	}
	if fs.NArg() != 1 {
		fmt.Fprintln(stderr, "svidhelper: name one level: debug, info, warn or error; flags come before it")
		return exitUsage
	}
	_, code := o.ask(*dir, ask.SetLevel+" "+fs.Arg(0), stderr, stderr)
	return code
}

// ask asks every helper that publishes in a directory or, without one, the helper
// that publishes to the outputs of the configuration file. Why there is no answer
// goes to why.
func (o *options) ask(dir, question string, why, stderr io.Writer) (answers []ask.Answer, code int) {
	if dir != "" {
		sets, err := ask.Sets(dir)
		for _, set := range sets {
			a, aerr := ask.Ask(context.Background(), dir, set, question)
			answers, err = append(answers, a), errors.Join(err, aerr)
		}
		return answers, exit(err, why)
	}
	c, diagnostics := o.read()
	if c == nil {
		fmt.Fprint(stderr, diagnostics)
		return nil, exitFailure
	}
	var err error
	for i := range c.Outputs {
		a, aerr := ask.Ask(context.Background(), c.Outputs[i].Dir, c.Outputs[i].Set, question)
		if aerr == nil {
			return []ask.Answer{a}, exitOK // they all are one helper's
		}
		err = errors.Join(err, aerr)
	}
	return nil, exit(err, why)
}
