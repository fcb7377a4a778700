package helper

import (
	"os"
	"syscall"
)

// recorded are the signals that child records.
var recorded = []os.Signal{syscall.SIGTERM}
