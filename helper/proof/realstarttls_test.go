//go:build linux

package proof

import (
	"os"
	"os/user"
	"strconv"
	"strings"
	"testing"
)

// A realService is a server of the distribution's, set up to do TLS after plain
// text, or for a protocol inside TLS, and nothing else.
type realService struct {
	name     string
	program  string
	starttls StartTLS
	sni      string
	alpn     string
	// files are written beside the certificate; in them, and in argv, DIR, PORT and
	// USER stand for what they are.
	files map[string]string
	argv  []string
}

const dovecotConf = `
protocols = pop3 sieve
base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/log
listen = 127.0.0.1
ssl = required
ssl_cert = <DIR/cert.pem
ssl_key = <DIR/key.pem
default_internal_user = USER
default_login_user = USER
default_internal_group = GROUP
auth_mechanisms = plain
passdb {
  driver = static
  args = password=x
}
userdb {
  driver = static
  args = uid=USER gid=GROUP home=DIR
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = POP3
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  chroot =
  inet_listener sieve {
    port = SIEVE
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`

func dovecot(port string) string { return strings.ReplaceAll(dovecotConf, port, "PORT") }

var realServices = []realService{
	{
		name: "dovecot, pop3", program: "dovecot", starttls: StartTLSPOP3,
		files: map[string]string{"dovecot.conf": strings.ReplaceAll(dovecot("POP3"), "SIEVE", "0")},
		argv:  []string{"-F", "-c", "DIR/dovecot.conf"},
	},
	{
		name: "dovecot, sieve", program: "dovecot", starttls: StartTLSSieve,
		files: map[string]string{"dovecot.conf": strings.ReplaceAll(dovecot("SIEVE"), "POP3", "0")},
		argv:  []string{"-F", "-c", "DIR/dovecot.conf"},
	},
	{
		name: "nats", program: "nats-server", starttls: StartTLSNATS,
		files: map[string]string{"nats.conf": "listen: 127.0.0.1:PORT\ntls { cert_file: \"DIR/cert.pem\", key_file: \"DIR/key.pem\" }\n"},
		argv:  []string{"-c", "DIR/nats.conf"},
	},
	{
		name: "vsftpd", program: "vsftpd", starttls: StartTLSFTP,
		files: map[string]string{"vsftpd.conf": `listen=YES
listen_address=127.0.0.1
listen_port=PORT
run_as_launching_user=YES
background=NO
anonymous_enable=YES
anon_root=DIR
xferlog_enable=YES
vsftpd_log_file=DIR/log
log_ftp_protocol=YES
ssl_enable=YES
debug_ssl=YES
rsa_cert_file=DIR/cert.pem
rsa_private_key_file=DIR/key.pem
`},
		argv: []string{"DIR/vsftpd.conf"},
	},
	{
		name: "prosody", program: "prosody", starttls: StartTLSXMPP, sni: "example.test",
		files: map[string]string{"prosody.cfg.lua": prosody("c2s")},
		argv:  []string{"-F", "--config", "DIR/prosody.cfg.lua"},
	},
	{
		name: "prosody's servers", program: "prosody", starttls: StartTLSXMPPServer, sni: "example.test",
		files: map[string]string{"prosody.cfg.lua": prosody("s2s")},
		argv:  []string{"-F", "--config", "DIR/prosody.cfg.lua"},
	},
	{
		name: "chronyd", program: "chronyd", alpn: "ntske/1",
		files: map[string]string{"chrony.conf": `port 0
cmdport 0
bindaddress 127.0.0.1
pidfile DIR/pid
ntsserverkey DIR/key.pem
ntsservercert DIR/cert.pem
ntsport PORT
ntsdumpdir DIR
allow 127.0.0.1
`},
		argv: []string{"-d", "-x", "-U", "-u", "USER", "-f", "DIR/chrony.conf"},
	},
	{
		name: "slapd", program: "slapd", starttls: StartTLSLDAP,
		files: map[string]string{"slapd.conf": `pidfile DIR/pid
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
`},
		argv: []string{"-h", "ldap://127.0.0.1:PORT", "-f", "DIR/slapd.conf", "-d", "stats"},
	},
}

func prosody(listener string) string {
	other := map[string]string{"c2s": "s2s", "s2s": "c2s"}[listener]
	return `daemonize = false
pidfile = "DIR/pid"
data_path = "DIR"
interfaces = { "127.0.0.1" }
modules_enabled = { "tls", "saslauth", "dialback" }
modules_disabled = { "` + other + `" }
` + listener + `_ports = { PORT }
c2s_require_encryption = true
s2s_require_encryption = true
log = { info = "*console" }
VirtualHost "example.test"
  ssl = { certificate = "DIR/cert.pem", key = "DIR/key.pem" }
`
}

// TestRealStartTLS: the servers of the distribution show their certificate after
// each protocol, and log no trouble about a client that looks and leaves.
func TestRealStartTLS(t *testing.T) {
	for _, c := range realServices {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			program := find(t, c.program, "/usr/sbin/"+c.program)
			s := newServer(t)
			port := freePort(t)
			who, err := user.LookupId(strconv.Itoa(max(os.Getuid(), 0)))
			if s.cred != nil {
				who, err = user.LookupId(strconv.Itoa(nobody))
			}
			if err != nil {
				t.Fatal(err)
			}
			group, err := user.LookupGroupId(who.Gid)
			if err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("DIR", s.dir, "PORT", port, "USER", who.Username, "GROUP", group.Name).Replace
			first := s.publish(issue(t, 1))
			for name, text := range c.files {
				s.write(name, []byte(fill(text)))
			}
			argv := []string{program}
			for _, arg := range c.argv {
				argv = append(argv, fill(arg))
			}
			s.start(argv...)
			t.Cleanup(s.kill)
			cfg := Config{TLS: "127.0.0.1:" + port, StartTLS: c.starttls, ServerName: c.sni, Timeout: patience}
			if c.alpn != "" {
				cfg.ALPN = []string{c.alpn}
			}
			p := prover(t, cfg)
			r, err := p.Prove(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.Look(t.Context(), first, Result{}); err != nil {
				t.Fatal(err)
			}
			t.Logf("proven after %v, with %d connections", r.Latency, r.Attempts)
			for _, bad := range []string{"reset", "EOF", "error:", "handshake"} {
				if strings.Contains(s.logged(), bad) {
					t.Errorf("the proofs made %s log %q", c.program, bad)
				}
			}
		})
	}
}
