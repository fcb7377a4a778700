//go:build linux && services

package examples_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

var (
	imapLogin = insideTLS(lines("", "* OK", "a LOGIN ann x", "a OK", "b NOOP", "b OK"))
	imapNoop  = insideTLS(lines("c NOOP", "c OK"))
	pop3Login = insideTLS(lines("", "+OK", "USER bob", "+OK", "PASS x", "+OK", "QUIT", "+OK"))
)

// TestServiceDovecot runs the example: 30 rotations while clients log in over IMAP
// and POP3 with mutual TLS, then a new authority. A session that has not logged in
// yet ends with its login process, which a reload replaces. That is Dovecot's doing:
// a reload by hand shows it, too.
func TestServiceDovecot(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "dovecot", "dovecot", "openssl") })
	needRoot(t, "Dovecot starts as root")
	need(t, "/usr/lib/dovecot/imap-login")
	need(t, "/usr/lib/dovecot/pop3-login")
	curl := need(t, "curl")
	s := newService(t, "dovecot")
	pop3 := freeAddress(t)
	_, port, _ := net.SplitHostPort(s.address)
	s.start("dovecot/helper.conf",
		`["dovecot", "-F"]`, `["dovecot", "-F", "-c", "`+s.dovecotConf(pop3)+`"]`,
		"127.0.0.1:993", s.address,
		"/run/dovecot-tls", s.tls)

	tls := s.clientTLS()
	cert, key, bundle := s.clientFiles()
	clients := func() []*client {
		return []*client{
			dropping(newClient("IMAP", talkDial(s.address, tls, nil, imapLogin)), dropped),
			dropping(newClient("POP3", talkDial(pop3, tls, nil, pop3Login)), dropped),
			dropping(s.ownClient("curl", `* LIST (\HasNoChildren) "." INBOX`, curl, "-sS",
				"--cacert", bundle, "--cert", cert, "--key", key, "-u", "carl:x", "imaps://localhost:"+port+"/"), curlDropped),
		}
	}
	s.reloadByHand(s.signal(syscall.SIGHUP), clients()...)
	s.rotate(rotations, holdTLS(s.address, tls, imapLogin, imapNoop), clients()...)

	s.trustsNewAuthority(nil, imapLogin)
	s.refusesStranger(nil, imapLogin)
	s.stop(0)
}

// reloadByHand is byHand with the clients and as often as rotate has them: Dovecot
// drops some at each reload, so that the numbers are to be compared.
func (s *service) reloadByHand(reload func() error, clients ...*client) {
	s.t.Helper()
	ctx, stop := context.WithCancel(deadline(s.t, 5*time.Minute))
	defer stop()
	done := make(chan struct{}, len(clients))
	for _, c := range clients {
		go func() { c.run(ctx, 1); done <- struct{}{} }()
	}
	for range rotations {
		if err := reload(); err != nil {
			s.t.Fatalf("reload by hand: %v", err)
		}
		for _, c := range clients {
			c.more(s.t, 1)
		}
	}
	stop()
	for _, c := range clients {
		<-done
		s.t.Logf("%d reloads by hand: %s: %d new connections, %d dropped", rotations, c.name, c.dials, c.dropped)
	}
}

// dovecotConf writes a configuration without users of the machine's that includes
// the example.
func (s *service) dovecotConf(pop3 string) string {
	s.t.Helper()
	_, imapPort, _ := net.SplitHostPort(s.address)
	_, pop3Port, _ := net.SplitHostPort(pop3)
	mail := s.owned("mail", "mail")
	ssl := s.adapt("dovecot/99-svidhelper.conf", "/run/dovecot-tls", s.tls)
	return adaptText(s.t, fmt.Sprintf(`
base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:%[2]s/%%u
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=mail gid=mail home=%[2]s/%%u
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = %[3]s
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = 0
  }
  inet_listener pop3s {
    port = %[4]s
    ssl = yes
  }
}
!include %[5]s
`, s.dir, mail, imapPort, pop3Port, ssl), s.dir, "dovecot.conf")
}
