package proof

import "time"

// A Config says where a service presents its certificate and what to do when
// it never presents the one that was published.
type Config struct {
	// TLS is the address to dial: host:port, [v6]:port, or unix:///path.
	TLS string
	// StartTLS is the protocol to speak before TLS; empty means none.
	StartTLS StartTLS
	// ServerName is sent as SNI; empty means none for an IP address or a
	// socket, the host otherwise.
	ServerName string
	// ALPN are the protocols that are offered for inside TLS (RFC 7301), the best
	// one first; empty means none, which most services take.
	ALPN []string
	// Timeout bounds the wait for the new leaf; 0 means 10 s.
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
