//go:build linux && services

package examples_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
)

// TestServicePostfix runs the example: 30 rotations while clients say STARTTLS with mutual
// TLS, and curl sends mail, then a new authority.
func TestServicePostfix(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "postfix", "postfix", "openssl") })
	needRoot(t, "Postfix starts as root")
	need(t, "postfix")
	curl := need(t, "curl")
	s := newService(t, "postfix")
	conf := s.postfixConf()
	if out, err := exec.Command("postfix", "-c", conf, "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s", err, out)
	}
	s.start("postfix/helper.conf",
		"/etc/postfix", conf,
		"127.0.0.1:25", s.address,
		"/run/postfix-tls", s.tls)

	ehlo := []string{"EHLO localhost", "250 "}
	startTLS := lines(append([]string{"", "220 "}, append(ehlo, "STARTTLS", "220 ")...)...)
	hello := insideTLS(lines(append(ehlo, "MAIL FROM:<a@localhost>", "250 ")...))
	goOn := insideTLS(lines("RCPT TO:<b@localhost>", "250 ", "QUIT", "221 "))
	config := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	_, port, _ := net.SplitHostPort(s.address)
	s.byHand(command("postfix", "-c", s.dir, "reload"), newClient("TLS connections", talkDial(s.address, config, startTLS, hello)))
	s.rotate(rotations,
		holdStartTLS(s.address, config, startTLS, hello, goOn),
		newClient("TLS connections", talkDial(s.address, config, startTLS, hello)),
		s.ownClient("curl", "", curl, "-sS", "--ssl-reqd", "--cacert", bundle, "--cert", cert, "--key", key,
			"--mail-from", "a@localhost", "--mail-rcpt", "b@localhost", "-T", bundle, "smtp://localhost:"+port))

	s.trustsNewAuthority(startTLS, hello)
	s.refusesStranger(startTLS, hello)
	s.stop(143) // the master ends itself by SIGTERM
}

// postfixConf writes a configuration that delivers nothing and includes the
// example.
func (s *service) postfixConf() (dir string) {
	s.t.Helper()
	tls, err := os.ReadFile(s.adapt("postfix/main.cf", "/run/postfix-tls", s.tls))
	if err != nil {
		s.t.Fatal(err)
	}
	adaptText(s.t, fmt.Sprintf(`
compatibility_level = 3.6
queue_directory = %s
data_directory = %s
maillog_file = /dev/stdout
inet_protocols = ipv4
mydestination = localhost
local_transport = discard
local_recipient_maps =
alias_maps =
alias_database =
%s`, s.owned("queue", "root"), s.owned("data", "postfix"), tls), s.dir, "main.cf")
	adaptText(s.t, s.address+` inet n - y - - smtpd
cleanup  unix       n - y - 0    cleanup
qmgr     unix       n - n - 1    qmgr
tlsmgr   unix       - - y - 1    tlsmgr
rewrite  unix       - - y - -    trivial-rewrite
bounce   unix       - - y - 0    bounce
defer    unix       - - y - 0    bounce
proxymap unix       - - n - -    proxymap
anvil    unix       - - y - 1    anvil
discard  unix       - - y - -    discard
postlog  unix-dgram n - n - 1    postlogd
`, s.dir, "master.cf")
	return s.dir
}
