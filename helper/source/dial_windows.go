package source

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// errRefused says that nothing listens; syscall.ECONNREFUSED is not an error of
// Windows, but one that Go made up.
const errRefused = windows.WSAECONNREFUSED

// dialNet connects to a TCP port or a named pipe.
func dialNet(ctx context.Context, a Address) (net.Conn, error) {
	if a.Network != "npipe" {
		return new(net.Dialer).DialContext(ctx, a.Network, a.Target)
	}
	return openPipe(a.Target)
}

// openPipe opens a named pipe for overlapped I/O, which is what gives it
// deadlines. The server of the pipe learns nothing of our identity and cannot
// act in our name.
func openPipe(name string) (net.Conn, error) {
	path := `\\.\` + filepath.Join("pipe", name)
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("name of the pipe: %w", err)
	}
	const flags = windows.FILE_FLAG_OVERLAPPED | windows.SECURITY_SQOS_PRESENT | windows.SECURITY_ANONYMOUS
	h, err := windows.CreateFile(p, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, flags, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(h), path)
	if f == nil {
		windows.CloseHandle(h)
		return nil, errors.New("open " + path + ": not a usable handle")
	}
	return pipeConn{f}, nil
}

// A pipeConn is a named pipe as a net.Conn.
type pipeConn struct{ *os.File }

type pipeAddr string

func (pipeAddr) Network() string  { return "npipe" }
func (a pipeAddr) String() string { return string(a) }

func (c pipeConn) LocalAddr() net.Addr  { return pipeAddr(c.Name()) }
func (c pipeConn) RemoteAddr() net.Addr { return pipeAddr(c.Name()) }
