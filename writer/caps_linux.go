package writer

import (
	"os"

	"golang.org/x/sys/unix"
)

// canChown reports whether this process may give files away: whether it has
// CAP_CHOWN, which a container's root can lack.
func canChown() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return os.Geteuid() == 0
	}
	return data[0].Effective&(1<<unix.CAP_CHOWN) != 0
}
