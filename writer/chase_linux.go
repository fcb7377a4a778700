package writer

import "golang.org/x/sys/unix"

// walkFlags open a directory on the way: no right to read it is needed.
const walkFlags = unix.O_PATH
