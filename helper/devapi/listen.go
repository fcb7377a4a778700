package devapi

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// listen opens the listener for unix:///path or tcp://IP:port (SPIFFE Workload
// Endpoint 4).
func listen(address string, mode fs.FileMode) (net.Listener, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		return listenUnix(u.Path, mode)
	case u.Scheme == "tcp" && u.Host != "" && u.Path == "":
		return net.Listen("tcp", u.Host)
	default:
		return nil, fmt.Errorf("address %q: use unix:///path or tcp://IP:port", address)
	}
}

func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	// A client that may write to the socket, and so connect, may reach and watch it.
	if err := os.MkdirAll(filepath.Dir(path), 0o700|mode<<1&0o044|mode>>1&0o011); err != nil {
		return nil, fmt.Errorf("creating the socket's directory: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a socket that nothing listens on. Anything else in the way
// has an owner.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket: remove it, or choose another path", path)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return fmt.Errorf("%s is served by another process: stop it, or choose another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the stale socket: %w", err)
	}
	return nil
}

// addressOf returns a listener's address as a client would write it.
func addressOf(l net.Listener) string {
	a := l.Addr()
	return a.Network() + "://" + a.String()
}
