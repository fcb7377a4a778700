package devapi

import (
	"net"
	"sync"
)

// A cuttingListener closes with itself every connection that it has accepted.
// gRPC's Stop would wait two minutes for one that has not said anything yet.
type cuttingListener struct {
	net.Listener
	mu     sync.Mutex
	conns  map[*cutConn]bool
	closed bool
}

func newCuttingListener(l net.Listener) *cuttingListener {
	return &cuttingListener{Listener: l, conns: make(map[*cutConn]bool)}
}

func (l *cuttingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return nil, net.ErrClosed
	}
	cut := &cutConn{Conn: c, from: l}
	l.conns[cut] = true
	return cut, nil
}

func (l *cuttingListener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.conns {
		c.Conn.Close()
	}
	return err
}

type cutConn struct {
	net.Conn
	from *cuttingListener
}

func (c *cutConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
