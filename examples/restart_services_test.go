//go:build linux && services

package examples_test

import (
	"context"
	"os/exec"
	"regexp"
	"slices"
	"syscall"
	"time"
)

// restartByHand shows what a restart costs that svidhelper has no part in: it
// fetches the files, and starts the server twice while a client connects.
func (s *service) restartByHand(conf string, c *client, argv ...string) {
	s.t.Helper()
	s.fetch(conf, "true")
	server := start(s.t, exec.Command(argv[0], argv[1:]...))
	awaitListener(s.t, c.dial, server)
	ctx, stop := context.WithCancel(deadline(s.t, 5*time.Minute))
	done := make(chan struct{})
	go func() { c.run(ctx, 1); close(done) }()
	c.more(s.t, 2)
	server.stop(syscall.SIGTERM)
	server = start(s.t, exec.Command(argv[0], argv[1:]...))
	c.until(s.t, "end of the restart", func() bool { return c.outage > 0 })
	stop()
	<-done
	s.restarts = true
	s.t.Logf("a restart by hand: %s were without an answer for %v", c.name, c.outage.Round(time.Millisecond))
	server.stop(syscall.SIGTERM)
}

// fetch writes the files once, and runs a command on top of them.
func (s *service) fetch(conf string, argv ...string) {
	s.t.Helper()
	fetch := exec.Command(svidhelper, append([]string{"fetch", "-config", conf, "--"}, argv...)...)
	fetch.Env = append(fetch.Environ(), "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
	if out, err := fetch.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
}

// dropping is a client of a server that is known to drop connections.
func dropping(c *client, drops func(error) bool) *client {
	c.drops = drops
	return c
}

// curlStatus finds how curl has ended.
var curlStatus = regexp.MustCompile(`curl: \((\d+)\)`)

// curlDropped is dropped for curl: no connection, a strange or an empty answer, no
// handshake, no more data.
func curlDropped(err error) bool {
	m := curlStatus.FindStringSubmatch(err.Error())
	return m != nil && slices.Contains([]string{"7", "8", "35", "52", "55", "56"}, m[1])
}
