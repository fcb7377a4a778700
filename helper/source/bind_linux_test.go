package source

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// bindThenListen lets time go by between the two: the socket is there and refuses.
func bindThenListen(gap time.Duration) func(address string) (net.Listener, error) {
	return func(address string) (net.Listener, error) {
		path := strings.TrimPrefix(address, "unix://")
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			return nil, err
		}
		pass(gap)
		if err := unix.Listen(fd, 100); err != nil {
			return nil, err
		}
		return net.FileListener(f)
	}
}

// An agent is away for so short that the loss of the connection is hardly noticed
// when its new socket is there, and that socket refuses for a moment.
func TestConnectedPromptlyAfterTheShortestOutage(t *testing.T) {
	for _, gap := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
		promptly(t, "down 20ms, and refusing "+gap.String(), func(p *testbed.Pulse) []sample {
			return outages(t, p, devapi.Config{Listen: bindThenListen(gap)}, 20*time.Millisecond, 20)
		})
	}
}
