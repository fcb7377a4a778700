package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/examples"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/doctor"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/nearest"
)

func runConfig(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("config")
	here := fs.Bool("here", false, "check looks at the disk of this machine too, and changes nothing; init takes what runs here")
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code
	}
	verb := fs.Arg(0)
	verbs := []string{"check", "print", "init", "schema"}
	if verb != "" && !slices.Contains(verbs, verb) {
		fmt.Fprintf(stderr, "svidhelper: unknown command %q: config has %s\n", "config "+verb, strings.Join(verbs, ", "))
		return exitUsage
	}
	if verb != "" { // flags may follow it
		if code, done := parseFlags(fs, fs.Args()[1:], stdout, stderr); done {
			return code
		}
	}
	switch {
	case verb == "init" && fs.NArg() <= 1:
		return initConfig(fs.Arg(0), *here, stdout, stderr)
	case verb == "schema" && fs.NArg() == 0:
		_, _ = stdout.Write(config.JSONSchema())
		return exitOK
	case verb == "print" && fs.NArg() == 1:
		return printConfig(fs.Arg(0), stdout, stderr)
	case verb == "check" && fs.NArg() > 0:
		return checkConfigs(fs, *here, stdout, stderr)
	}
	fmt.Fprintln(stderr, "svidhelper: config check wants files, config print wants one, config init at most one name, config schema nothing")
	return exitUsage
}

func checkConfigs(fs *flag.FlagSet, here bool, stdout, stderr io.Writer) int {
	code := exitOK
	for _, path := range fs.Args() {
		c, dialect, diagnostics := config.Check(path)
		diagnostics = append(diagnostics, openToOthers(path)...)
		if dialect != config.Unread {
			fmt.Fprintf(stdout, "%s: the dialect is %s\n", path, dialect)
		}
		fmt.Fprint(stderr, diagnostics)
		if c != nil {
			for i := range c.Outputs {
				for _, w := range encode.Warnings(&c.Outputs[i]) {
					fmt.Fprintf(stderr, "%s: warning: output %s: %s\n", path, c.Outputs[i].Dir, w)
				}
			}
		}
		if c == nil || here && !checkHere(path, c, stderr) {
			code = exitFailure
			continue
		}
		fmt.Fprintf(stdout, "%s: ok\n", path)
	}
	return code
}

// checkHere looks at the places where the outputs go, and reports whether they
// can be written.
func checkHere(path string, c *config.Config, stderr io.Writer) bool {
	var r doctor.Report
	r.Places(c.Outputs)
	for _, f := range r.Findings {
		severity := "warning"
		if f.Level == doctor.Problem {
			severity = "error"
		}
		fmt.Fprintf(stderr, "%s: %s: output %s: %s\n", path, severity, f.Subject, f.Text)
	}
	return r.Count(doctor.Problem) == 0
}

func printConfig(path string, stdout, stderr io.Writer) int {
	c, _, diagnostics := config.Check(path)
	fmt.Fprint(stderr, diagnostics)
	if c == nil {
		return exitFailure
	}
	_, _ = stdout.Write(config.Print(c))
	return exitOK
}

// initConfig prints a configuration to start from: that of the name, or of the one
// server that runs here. Otherwise it lists them.
func initConfig(name string, here bool, stdout, stderr io.Writer) int {
	names := examples.Names()
	if name == "" && here {
		switch running := examples.Running(os.DirFS("/proc")); len(running) {
		case 1:
			name = running[0]
		case 0:
			fmt.Fprintln(stderr, "svidhelper: none of the servers that there is a configuration for runs here")
		default:
			names = running
		}
	}
	if name == "" {
		fmt.Fprintf(stdout, "svidhelper config init NAME >helper.conf prints a configuration for\n  %s\n", strings.Join(names, "\n  "))
		return exitOK
	}
	text, err := examples.Config(name)
	if err != nil {
		hint := nearest.Hint(name, names, "they are "+strings.Join(names, ", "))
		fmt.Fprintf(stderr, "svidhelper: there is no example %q\n  %s\n", name, hint)
		return exitUsage
	}
	_, _ = stdout.Write(text)
	return exitOK
}
