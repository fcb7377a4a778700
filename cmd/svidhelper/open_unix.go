//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"

	"github.com/svidhelper/svidhelper/helper/config"
)

// openToOthers warns of a configuration file that another user can change: what
// it says is run with the helper's rights.
func openToOthers(file string) config.Diagnostics {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	why := ""
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&0o002 != 0:
		why = fmt.Sprintf("every user can change this file (mode %04o), and so what runs with svidhelper's rights", info.Mode().Perm())
	case ok && os.Geteuid() == 0 && st.Uid != 0:
		why = fmt.Sprintf("uid %d owns this file, and so can change what runs with root's rights", st.Uid)
	default:
		return nil
	}
	return config.Diagnostics{{Severity: config.Warning, File: file, Message: why, Hint: "chown it to root, and chmod go-w"}}
}
