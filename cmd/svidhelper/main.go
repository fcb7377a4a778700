// Command svidhelper keeps X.509-SVIDs, JWT-SVIDs and bundles of the SPIFFE
// Workload API fresh on disk, runs a process on top of them, and makes every
// rotation reach it.
//
// This package has one file a subcommand: flags in, exit code out. What they do
// is in the package helper.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	_ "github.com/svidhelper/svidhelper/cmd/svidhelper/frugal"
	"github.com/svidhelper/svidhelper/helper/nearest"
	"github.com/svidhelper/svidhelper/supervisor"
)

// Exit codes of our own; a process's own status takes their place when there is
// one.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// statuses are the exit statuses, as the help, the manual and docs/operation.md have
// them.
var statuses = []struct{ status, when string }{
	{"the process's own", "it has ended by itself, or after a signal that it handles"},
	{"128 + N", "signal N has ended the process"},
	{"127", "the process's command is not there"},
	{"126", "the process's command cannot be executed"},
	{"0", "done; SIGTERM and SIGINT where there is no process"},
	{"1", "svidhelper itself has failed; check: something cannot be used, or there is nothing; doctor: there is a problem"},
	{"2", "wrong flags"},
}

// A command is one subcommand: arguments in, exit code out.
type command struct {
	name, synopsis, does string
	run                  func(args []string, stdout, stderr io.Writer) int
}

func commands() []command {
	return []command{
		{"run", "[-config F] [-dir D] [-agent-address A] [-on-rotation SIG] [-- cmd args]", "keep the files fresh and the process told (the default)", runRun},
		{"fetch", "[-config F] [-dir D] [-agent-address A] [-timeout 60s] [-- cmd args]", "write everything once, then exit, or become cmd", runFetch},
		{"fetch jwt", "-audience A... [-spiffe-id ID] [-hint H] [-o FORM] [-agent-address A] [-timeout 60s]", "print a JWT-SVID, for scripts and for programs that run a command for credentials", runFetchJWT},
		{"fetch x509", "[-spiffe-id ID] [-hint H] [-o json] [-agent-address A] [-timeout 60s]", "print an X.509-SVID, its key and its bundles as JSON", runFetchX509},
		{"check", "[-config F | -dir D | FILE...] [-ready] [-json] [-min-remaining 5m] [-bundle F] [-audience A] [-agent]", "say whether what is on disk can be used: SVIDs, keys, bundles, tokens, keystores", runCheck},
		{"config", "check F... | print F | init [NAME | -here] | schema", "say what is wrong with a configuration, print its native form, one to start from, or a JSON Schema", runConfig},
		{"doctor", "[-config F] [-dir D] [-agent-address A] [-on-rotation SIG] [-timeout 15s] [-json] [-- cmd args]", "say what is wrong here, and what to do: Workload API, outputs, process, hooks, ports", runDoctor},
		{"level", "[-config F | -dir D] debug|info|warn|error", "have a running svidhelper log at another level", runLevel},
		{"dev", "[-id ID] [-dns N] [-ttl 1h] [-socket S] [-- cmd args]", "a development Workload API with a throwaway CA", runDev},
		{"version", "", "print version, commit and Go version", runVersion},
	}
}

func main() {
	os.Exit(serve(os.Args))
}

// dispatch runs the subcommand that args name. Arguments that begin with a flag
// mean run, as does the name spiffe-helper, which has no subcommands.
func dispatch(args []string, stdout, stderr io.Writer) int {
	rest := args[1:]
	switch {
	case dropIn(args[0]) || len(rest) == 0:
		return runDropIn(rest, stdout, stderr)
	case slices.Contains([]string{"-h", "-help", "--help"}, rest[0]):
		usage(stdout)
		fmt.Fprintln(stdout) // and the flags that need no command
		return runDropIn(rest[:1], stdout, stderr)
	case strings.HasPrefix(rest[0], "-"):
		return runDropIn(rest, stdout, stderr)
	case rest[0] == "help":
		return help(rest[1:], stdout, stderr)
	}
	if c := lookUp(rest[0], stderr); c != nil {
		return c.run(rest[1:], stdout, stderr)
	}
	return exitUsage
}

// help prints how to use the program, or the subcommand that args name.
func help(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stdout)
		return exitOK
	}
	if c := lookUp(args[0], stderr); c != nil {
		return c.run([]string{"-h"}, stdout, stderr)
	}
	return exitUsage
}

// lookUp returns the subcommand of that name. It has said so if there is none.
func lookUp(name string, stderr io.Writer) *command {
	var names []string
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
		names = append(names, c.name)
	}
	hint := nearest.Hint(name, names, `"svidhelper help" lists them; what is to be run goes after --`)
	fmt.Fprintf(stderr, "svidhelper: unknown command %q\n  %s\n", name, hint)
	return nil
}

// dropIn reports whether the program was called by the name of the program
// whose place it can take.
func dropIn(argv0 string) bool {
	return strings.TrimSuffix(filepath.Base(argv0), ".exe") == "spiffe-helper"
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: svidhelper [command] [flags] [-- cmd args]\n\ncommands:\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		fmt.Fprintf(t, "  %s\t%s\n", c.name, c.does)
		if c.synopsis != "" {
			fmt.Fprintf(t, "  \t%s\n", c.synopsis)
		}
	}
	fmt.Fprint(t, "\nexit status:\n")
	for _, s := range statuses {
		fmt.Fprintf(t, "  %s\t%s\n", s.status, s.when)
	}
	t.Flush()
	fmt.Fprint(w, "\n\"svidhelper <command> -h\" lists the flags of a command.\n")
}

// newFlags returns a flag set with c's usage.
func newFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.Usage = func() {
		for _, c := range commands() {
			if c.name == name {
				fmt.Fprintf(fs.Output(), "usage: %s\n\n%s\n\n", strings.TrimSpace("svidhelper "+name+" "+c.synopsis), c.does)
			}
		}
		fs.PrintDefaults()
	}
	return fs
}

// parseFlags parses args. done says that there is nothing left to do but to
// exit with code: help was asked for, or what is wrong has been printed.
func parseFlags(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, done bool) {
	var said bytes.Buffer
	fs.SetOutput(&said)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		said.WriteTo(stdout)
		return exitOK, true
	case err != nil:
		fmt.Fprint(stderr, "svidhelper: ")
		said.WriteTo(stderr)
		return exitUsage, true
	}
	return exitOK, false
}

// isSet reports whether the command line has the flag.
func isSet(fs *flag.FlagSet, name string) (set bool) {
	fs.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// exit prints err as the last line that the user sees, and returns the exit
// code that belongs to it.
func exit(err error, stderr io.Writer) int {
	var ended *supervisor.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &ended):
		if ended.Err != nil {
			fmt.Fprintln(stderr, "svidhelper:", err)
		}
		return ended.Code
	default:
		fmt.Fprintln(stderr, "svidhelper:", err)
		return exitFailure
	}
}
