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
	fs := newFlags("version", stderr)
	if err := fs.Parse(args); err != nil {
		return flagsExit(err)
	}
	fmt.Fprintln(stdout, versionLine())
	return exitOK
}
