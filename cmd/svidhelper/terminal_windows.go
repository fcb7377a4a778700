package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// isTerminal reports whether what is written to f is shown to a person.
func isTerminal(f *os.File) bool {
	var mode uint32
	return windows.GetConsoleMode(windows.Handle(f.Fd()), &mode) == nil
}
