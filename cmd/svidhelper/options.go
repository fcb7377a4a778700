package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/console"
	"github.com/svidhelper/svidhelper/helper/source"
)

// Where the Workload API is unless something says otherwise.
const (
	addressVariable = "SPIFFE_ENDPOINT_SOCKET" // SPIFFE Workload Endpoint 4
	oldVariable     = "SPIRE_AGENT_ADDRESS"    // what spiffe-helper read before that
	defaultAddress  = "/tmp/spire-agent/public/api.sock"
	defaultFile     = "helper.conf"
)

// options are what run and fetch have in common.
type options struct {
	file   string
	flags  config.Flags
	loader config.Loader
	level  slog.LevelVar // of the logger
}

func (o *options) register(fs *flag.FlagSet) {
	fs.StringVar(&o.file, "config", "", "read this `file` (default "+defaultFile+", unless -dir makes it unnecessary)")
	fs.StringVar(&o.flags.AgentAddress, "agent-address", "", "the Workload API's `address`, instead of the file's and of "+addressVariable)
	fs.StringVar(&o.flags.Dir, "dir", "", "write svid.pem, svid_key.pem and svid_bundle.pem to this `directory`, or a file's only output to it")
}

// parse splits args into flags and, after "--", a command. done says that there
// is nothing left to do but to exit with code.
func (o *options) parse(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, done bool) {
	if i := slices.Index(args, "--"); i >= 0 {
		args, o.flags.Command = args[:i], args[i+1:]
		if len(o.flags.Command) == 0 || o.flags.Command[0] == "" {
			fmt.Fprintln(stderr, "svidhelper: there is no command after --")
			return exitUsage, true
		}
	}
	return parseFlags(fs, args, stdout, stderr)
}

// refuseArguments reports arguments that are neither flags nor behind "--".
func refuseArguments(fs *flag.FlagSet, stderr io.Writer) bool {
	if fs.NArg() == 0 {
		return false
	}
	fmt.Fprintf(stderr, "svidhelper: unexpected argument %q: a command goes after --\n", fs.Arg(0))
	return true
}

// load reads the configuration and makes the logger that it asks for. If c is
// nil, what is wrong has been printed, and there is nothing left to do but to
// exit with code.
func (o *options) load(stderr io.Writer) (c *config.Config, log *slog.Logger, code int) {
	c, diagnostics := o.read()
	if o.defaultIsMissing() && c == nil {
		diagnostics[0].Hint = `-config names another file; with -dir, none is needed; "svidhelper help" says more`
	}
	if c != nil && c.Log.JSON { // a log pipeline can parse every line, these too
		log = o.newLogger(c.Log, stderr)
		for _, d := range diagnostics {
			log.Warn(d.Message, "file", d.File, "line", d.Line, "column", d.Column, "hint", d.Hint)
		}
		return c, log, exitOK
	}
	fmt.Fprint(stderr, diagnostics)
	switch {
	case diagnostics.OfCommandLine():
		return nil, nil, exitUsage
	case diagnostics.HasErrors():
		return nil, nil, exitFailure
	}
	return c, o.newLogger(c.Log, stderr), exitOK
}

// defaultIsMissing reports whether the file to read is the default one, for want
// of another, and is not there.
func (o *options) defaultIsMissing() bool {
	_, err := os.Stat(defaultFile)
	return o.file == "" && o.path() == defaultFile && errors.Is(err, fs.ErrNotExist)
}

// reload reads the configuration once more, as it is now.
func (o *options) reload() (*config.Config, error) {
	c, diagnostics := o.read()
	return c, diagnostics.Err()
}

// read reads the file that was named, or the default one where one is needed,
// and adds what the environment says. The parsers need a deep stack, which ends
// with a goroutine of their own: the caller's would stay as deep.
func (o *options) read() (c *config.Config, diagnostics config.Diagnostics) {
	var parsing sync.WaitGroup
	parsing.Go(func() { c, diagnostics = o.loader.Load(o.flags, o.path()) })
	parsing.Wait()
	if file := o.path(); file != "" {
		diagnostics = append(diagnostics, openToOthers(file)...)
	}
	if c == nil || c.AgentAddress != "" {
		return c, diagnostics
	}
	address, about := environmentAddress()
	diagnostics = append(diagnostics, about...)
	if about.HasErrors() {
		return nil, diagnostics
	}
	c.AgentAddress = address
	return c, diagnostics
}

// environmentAddress is the Workload API's address where neither a flag nor a file
// says it.
func environmentAddress() (string, config.Diagnostics) {
	var diagnostics config.Diagnostics
	variable := addressVariable
	if os.Getenv(addressVariable) == "" && os.Getenv(oldVariable) != "" {
		variable = oldVariable
		diagnostics = append(diagnostics, config.Diagnostic{Severity: config.Warning, File: oldVariable,
			Message: "the Workload API's address is taken from here", Hint: "set " + addressVariable + " instead: that is what other programs read"})
	}
	address, err := source.ParseAddress(cmp.Or(os.Getenv(variable), defaultAddress), runtime.GOOS)
	if err != nil {
		return "", append(diagnostics, config.Diagnostic{File: variable, Message: err.Error()})
	}
	return address.String(), diagnostics
}

// path is the file to read, or empty for none.
func (o *options) path() string {
	if o.file != "" {
		return o.file
	}
	if _, err := os.Stat(defaultFile); err != nil && len(o.flags.Command) > 0 {
		return ""
	}
	if o.flags.Dir != "" {
		return ""
	}
	return defaultFile
}

// newLogger returns the logger that the configuration asks for. Its level can be
// changed at run time.
func (o *options) newLogger(l config.Log, w io.Writer) *slog.Logger {
	o.level.Set(l.Level)
	if l.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: &o.level}))
	}
	return textLogger(w, &o.level)
}

// textLogger returns a logger for the person in front of a terminal, or for what
// reads slog's text.
func textLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	if f, is := w.(*os.File); is && isTerminal(f) {
		return slog.New(console.New(w, level))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
