package main

import (
	"fmt"
	"io"
	"runtime"
)

// Set by the linker.
var (
	version = "devel"
	commit  = "unknown"
)

func versionLine() string {
	return fmt.Sprintf("svidhelper %s (commit %s, %s, %s/%s)", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func runVersion(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("version")
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "svidhelper: unexpected argument %q\n", fs.Arg(0))
		return exitUsage
	}
	fmt.Fprintln(stdout, versionLine())
	return exitOK
}
