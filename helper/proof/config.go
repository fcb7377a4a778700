package proof

import (
	"errors"
	"fmt"
	"time"
)

// MaxWorkers bounds Workers: of so many, each look is 483 connections or more.
const MaxWorkers = 64

// A Config says how it is seen that a service has taken up what was published, by
// TLS, Command or both, and what to do when it never does.
type Config struct {
	// TLS is the address to dial: host:port, [v6]:port, or unix:///path; empty means
	// that nothing is dialled.
	TLS string
	// StartTLS is the protocol to speak before TLS; empty means none.
	StartTLS StartTLS
	// ServerName is sent as SNI; empty means none for an IP address or a
	// socket, the host otherwise.
	ServerName string
	// ALPN are the protocols that are offered for inside TLS (RFC 7301), the best
	// one first; empty means none, which most services take.
	ALPN []string
	// ClientCA has the service's trust proven too: that it asks for a client
	// certificate, accepts ours, and names each authority of the bundle, if any.
	ClientCA bool
	// Workers is among how many processes or sockets the service shares out its
	// connections, by chance; 0 means 1.
	Workers int
	// Command is run until it exits with status 0; nothing goes through a shell.
	Command []string
	// Timeout bounds the wait for all of that; 0 means 10 s.
	Timeout time.Duration
	// OnFailure are the escalations, tried in order, each followed by another
	// Timeout.
	OnFailure []Escalation
}

// StartTLS is a protocol that upgrades to TLS.
type StartTLS string

// The protocols that upgrade to TLS.
const (
	StartTLSNone     StartTLS = ""
	StartTLSPostgres StartTLS = "postgres"
	StartTLSMySQL    StartTLS = "mysql" // MariaDB too
	StartTLSLDAP     StartTLS = "ldap"
	StartTLSSMTP     StartTLS = "smtp"
	StartTLSIMAP     StartTLS = "imap"
	StartTLSPOP3     StartTLS = "pop3"
	StartTLSSieve    StartTLS = "sieve" // ManageSieve
	StartTLSFTP      StartTLS = "ftp"
	StartTLSNATS     StartTLS = "nats"
	StartTLSXMPP     StartTLS = "xmpp" // a client's
	// StartTLSXMPPServer is another server's.
	StartTLSXMPPServer StartTLS = "xmpp-server"
)

// Escalation is what to do when a service does not serve what was published.
type Escalation string

// The escalations.
const (
	EscalateSignal  Escalation = "signal"  // notify once more
	EscalateRestart Escalation = "restart" // restart the process
)

// Subject is what is looked at: the address, or the command's name.
func (c *Config) Subject() string {
	if c.TLS == "" && len(c.Command) > 0 {
		return c.Command[0]
	}
	return c.TLS
}

func (c *Config) check() error {
	if c.TLS != "" || len(c.Command) == 0 {
		if err := CheckAddress(c.TLS); err != nil {
			return err
		}
	}
	if len(c.Command) > 0 && c.Command[0] == "" {
		return errors.New("the command's name is empty")
	}
	if _, ok := protocols[c.StartTLS]; !ok {
		return fmt.Errorf("starttls %q is not known", c.StartTLS)
	}
	for _, name := range c.ALPN {
		if err := CheckALPN(name); err != nil {
			return err
		}
	}
	for _, e := range c.OnFailure {
		if e != EscalateSignal && e != EscalateRestart {
			return fmt.Errorf("on_failure %q is not known; it is %q or %q", e, EscalateSignal, EscalateRestart)
		}
	}
	switch {
	case c.Timeout < 0:
		return errors.New("timeout must not be negative")
	case c.Workers < 0 || c.Workers > MaxWorkers:
		return fmt.Errorf("workers are 1 to %d", MaxWorkers)
	}
	return nil
}
