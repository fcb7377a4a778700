package source

import "time"

// changeConnection changes what is known of the connection.
func (b *board) changeConnection(f func(*Connection)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.conn)
	b.latest = nil
}

// connecting notes an attempt to connect.
func (b *board) connecting() { b.changeConnection(func(c *Connection) { c.Attempts++ }) }

func (b *board) connected() {
	b.changeConnection(func(c *Connection) {
		c.Connects++
		c.LastError, c.Problem = nil, ""
		if !c.Connected {
			c.Connected, c.Since = true, time.Now()
			b.log.Info("connected to the Workload API", "address", c.Address)
			b.notify()
		}
	})
}

// disconnected notes why there is no connection. It logs the end of one and
// each new cause.
func (b *board) disconnected(err error) {
	b.changeConnection(func(c *Connection) {
		ended := c.Connected
		if ended {
			c.Connected, c.Since = false, time.Now()
		}
		fresh := ended || c.LastError == nil || causeOf(c.LastError) != causeOf(err)
		c.LastError = err
		if fresh {
			c.Problem = explainConnection(err, c.Address)
			b.log.Warn("not connected to the Workload API", "address", c.Address, "error", c.Problem)
			b.notify()
		}
		poke(b.trouble)
	})
}
