//go:build linux && services

package examples_test

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// TestServiceRabbitMQ runs the example: 10 rotations, since rabbitmqctl is slow, while clients, amqp-publish among
// them, log in with mutual TLS, then a new authority.
func TestServiceRabbitMQ(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "rabbitmq", "rabbitmqctl", "openssl") })
	needRoot(t, "rabbitmqctl is root's")
	need(t, "rabbitmqctl")
	publish := need(t, "amqp-publish")
	s := newService(t, "rabbitmq")
	_, epmd, _ := net.SplitHostPort(freeAddress(t))
	_, distribution, _ := net.SplitHostPort(freeAddress(t))
	data := s.owned("data", "rabbitmq")
	conf := s.adapt("rabbitmq/rabbitmq.conf",
		"127.0.0.1:5671", s.address,
		"/run/rabbitmq-tls", s.tls)
	s.env = []string{
		"RABBITMQ_NODENAME=rabbit@localhost", "RABBITMQ_ERLANG_COOKIE=svidhelper", "RABBITMQ_MNESIA_BASE=" + data,
		"RABBITMQ_CONFIG_FILE=" + conf, "RABBITMQ_ENABLED_PLUGINS_FILE=" + data + "/plugins", "RABBITMQ_LOGS=-",
		"ERL_EPMD_PORT=" + epmd, "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_DIST_PORT=" + distribution,
	}
	t.Cleanup(func() { // what maps Erlang's names to ports outlives it
		if out, err := exec.Command("epmd", "-port", epmd, "-kill").CombinedOutput(); err != nil {
			t.Logf("epmd: %v, %s", err, out)
		}
	})
	s.start("rabbitmq/helper.conf",
		`"/var/lib/rabbitmq"`, fmt.Sprintf("%q", data),
		"127.0.0.1:5671", s.address,
		"/run/rabbitmq-tls", s.tls)

	tls := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	_, port, _ := net.SplitHostPort(s.address)
	clients := []*client{
		newClient("TLS connections", talkDial(s.address, tls, nil, all(amqpLogin, amqpChannel))),
		s.ownClient("amqp-publish", "", publish, "-u", "amqps://localhost:"+port, "--cacert", bundle, "--cert", cert, "--key", key,
			"-r", "x", "-b", "hello"),
	}
	for _, c := range clients {
		c.pause = 50 * time.Millisecond // rabbitmqctl needs the machine
	}
	s.rotate(rotations/3, holdTLS(s.address, tls, amqpLogin, amqpChannel), clients...)

	s.trustsNewAuthority(nil, amqpLogin)
	s.refusesStranger(nil, amqpLogin)
	s.stop(0)
}
