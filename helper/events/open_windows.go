package events

import "os"

// open opens the file to append to.
func open(path string) (*os.File, error) { return os.OpenFile(path, openFlags, fileMode) }
