package systemd

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A relay is the socket that the process finds in its environment in place of the
// helper's. It is an abstract one: whatever user the process is, and whatever it
// takes for the root directory, it can send there. So can every user of the
// machine: what is not the helper's own user's, root's, or a descendant's is
// dropped.
type relay struct {
	conn     *net.UnixConn
	address  string
	messages chan message
	closed   chan struct{}
}

func newRelay() (*relay, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		if cerr != nil {
			return cerr
		}
		return err
	}}
	conn, err := config.ListenPacket(context.Background(), "unixgram", "") // the kernel finds a name
	if err != nil {
		return nil, fmt.Errorf("make a socket for the process: %w", err)
	}
	return &relay{
		conn:    conn.(*net.UnixConn),
		address: conn.LocalAddr().String(), messages: make(chan message), closed: make(chan struct{}),
	}, nil
}

// run hears what the process says until close is called.
func (r *relay) run() {
	buf := make([]byte, maxMessage+1)
	// No room for descriptors: the kernel closes those that come along, for which
	// "systemd-notify" waits.
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, _, _, err := r.conn.ReadMsgUnix(buf, oob)
		if err != nil {
			return
		}
		if n > maxMessage || !trusted(oob[:oobn]) {
			continue
		}
		select {
		case r.messages <- parseMessage(buf[:n]):
		case <-r.closed:
			return
		}
	}
}

// close ends run. It is called once.
func (r *relay) close() {
	close(r.closed)
	_ = r.conn.Close()
}

// trusted reports whether the sender may speak for the process.
func trusted(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return false
	}
	sender, err := unix.ParseUnixCredentials(&messages[0])
	if err != nil {
		return false
	}
	return sender.Uid == 0 || int(sender.Uid) == os.Geteuid() || descends(int(sender.Pid))
}

// generations bounds how far up descends looks.
const generations = 64

// descends reports whether a process is a descendant of the helper.
func descends(pid int) bool {
	for range generations {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			return false
		}
		_, rest, _ := bytes.Cut(status, []byte("\nPPid:"))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if pid, err = strconv.Atoi(string(bytes.TrimSpace(line))); err != nil || pid == 0 {
			return false
		}
		if pid == os.Getpid() {
			return true
		}
	}
	return false
}
