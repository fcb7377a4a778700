package health

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxConnections is more than probes, scrapers and people have open.
const maxConnections = 256

// A crowd is the connections that are open, the oldest first. Each costs a
// descriptor, and descriptors are what files are published with: when there are
// too many, the oldest has to go. The newest may be a probe.
type crowd struct {
	mu    sync.Mutex
	conns []net.Conn
}

// changed is http.Server's ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.conns = append(c.conns, conn)
		if len(c.conns) > maxConnections {
			_ = c.conns[0].Close()
			c.conns = slices.Delete(c.conns, 0, 1)
		}
	case http.StateClosed:
		if i := slices.Index(c.conns, conn); i >= 0 {
			c.conns = slices.Delete(c.conns, i, i+1)
		}
	}
}
