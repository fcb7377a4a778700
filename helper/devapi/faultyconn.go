package devapi

import (
	"net"
	"sync"
	"time"
)

// listener puts the faults around a listener.
func (f *Faults) listener(l net.Listener) net.Listener {
	if f == nil {
		return l
	}
	return &faultyListener{Listener: l, faults: f}
}

// A faultyListener counts connections and can freeze them.
type faultyListener struct {
	net.Listener
	faults *Faults
}

func (l *faultyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.faults.update(func() { l.faults.history.connect(time.Now()) })
	return &faultyConn{Conn: c, faults: l.faults, closed: make(chan struct{})}, nil
}

// A faultyConn neither reads nor writes while the faults are frozen.
type faultyConn struct {
	net.Conn
	faults *Faults
	once   sync.Once
	closed chan struct{}
}

func (c *faultyConn) thaw() error {
	if !c.faults.until(c.closed, func() bool { return !c.faults.frozen }) {
		return net.ErrClosed
	}
	return nil
}

func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if thawErr := c.thaw(); thawErr != nil { // what came while frozen waits
		return 0, thawErr
	}
	return n, err
}

func (c *faultyConn) Write(p []byte) (int, error) {
	if err := c.thaw(); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *faultyConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.faults.update(func() { c.faults.history.disconnect() })
	})
	return c.Conn.Close()
}
