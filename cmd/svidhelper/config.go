package main

import (
	"fmt"
	"io"

	"github.com/svidhelper/svidhelper/helper/config"
)

func runConfig(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("config")
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code
	}
	verb := fs.Arg(0)
	if verb != "" && verb != "check" && verb != "print" {
		fmt.Fprintf(stderr, "svidhelper: unknown command %q: config has check and print\n", "config "+verb)
		return exitUsage
	}
	if verb != "" { // flags may follow it
		if code, done := parseFlags(fs, fs.Args()[1:], stdout, stderr); done {
			return code
		}
	}
	if fs.NArg() == 0 || verb == "print" && fs.NArg() > 1 {
		fmt.Fprintln(stderr, "svidhelper: config check wants files, config print wants one")
		return exitUsage
	}
	code := exitOK
	for _, path := range fs.Args() {
		c, dialect, diagnostics := config.Check(path)
		if verb != "print" && dialect != config.Unread {
			fmt.Fprintf(stdout, "%s: the dialect is %s\n", path, dialect)
		}
		diagnostics.WriteTo(stderr)
		switch {
		case c == nil:
			code = exitFailure
		case verb == "print":
			stdout.Write(config.Print(c))
		default:
			fmt.Fprintf(stdout, "%s: ok\n", path)
		}
	}
	return code
}
