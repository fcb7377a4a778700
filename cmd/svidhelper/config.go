package main

import (
	"fmt"
	"io"

	"github.com/svidhelper/svidhelper/helper/config"
)

func runConfig(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("config", stderr)
	if err := fs.Parse(args); err != nil {
		return flagsExit(err)
	}
	if fs.NArg() != 2 {
		fs.Usage()
		return exitUsage
	}
	verb, path := fs.Arg(0), fs.Arg(1)
	if verb != "check" && verb != "print" {
		fmt.Fprintf(stderr, "svidhelper: unknown command %q: config has check and print\n", "config "+verb)
		return exitUsage
	}
	c, diags := config.Load(path)
	diags.WriteTo(stderr)
	if err := diags.Err(); err != nil {
		return exitFailure
	}
	if verb == "print" {
		stdout.Write(config.Print(c))
		return exitOK
	}
	fmt.Fprintf(stdout, "%s: ok\n", path)
	return exitOK
}
