//go:build linux && services

package examples_test

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// TestServiceSlapd runs the example: 30 rotations while clients bind with mutual TLS, at
// once and after StartTLS, then a new authority. Each is a restart; it shows what
// one costs by hand, too.
func TestServiceSlapd(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "slapd", "slapd", "openssl") })
	needRoot(t, "slapd starts as root")
	slapd := need(t, "slapd")
	whoami := need(t, "ldapwhoami")
	s := newService(t, "slapd")
	plain := freeAddress(t)
	ldif := s.adapt("slapd/svidhelper.ldif", "/run/slapd-tls", s.tls)
	settings := s.owned("slapd.d", "openldap")
	urls := fmt.Sprintf("ldap://%s ldaps://%s", plain, s.address)
	adapted := []string{
		"ldap:/// ldaps:/// ldapi:///", urls,
		"/etc/ldap/slapd.d", settings,
		"127.0.0.1:636", s.address,
		"/run/slapd-tls", s.tls,
	}
	s.slapdConf(settings)
	conf := s.conf("slapd/helper.conf", adapted...)
	s.fetch(conf, "runuser", "-u", "openldap", "--", "slapmodify", "-n", "0", "-F", settings, "-l", ldif)

	bind := ask("\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00", "\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00")
	tls := s.clientTLS()
	s.restartByHand(conf, dropping(newClient("TLS connections", talkDial(s.address, tls, nil, bind)), dropped),
		slapd, "-h", urls, "-u", "openldap", "-g", "openldap", "-F", settings, "-d", "0")

	s.start("slapd/helper.conf", adapted...)
	cert, key, _ := s.clientFiles()
	_, port, _ := net.SplitHostPort(plain)
	// libldap takes localhost for the machine's own name, for which there is no SVID.
	s.rotate(rotations, nil,
		dropping(newClient("TLS connections", talkDial(s.address, tls, nil, bind)), dropped),
		dropping(newClient("StartTLS", talkDial(plain, tls, ldapStartTLS, bind)), dropped),
		dropping(s.ownClient("ldapwhoami", "anonymous", "env", "LDAPTLS_CERT="+cert, "LDAPTLS_KEY="+key,
			"LDAPTLS_REQCERT=never", whoami, "-x", "-ZZ", "-H", "ldap://localhost:"+port), func(err error) bool {
			return strings.Contains(err.Error(), "Can't contact LDAP server") || strings.Contains(err.Error(), "Connect error")
		}))

	s.trustsNewAuthority(nil, bind)
	s.refusesStranger(nil, bind)
	s.stop(0)
}

// slapdConf makes the settings of a server without data.
func (s *service) slapdConf(dir string) {
	s.t.Helper()
	run := s.owned("run", "openldap")
	add := exec.Command("runuser", "-u", "openldap", "--", "slapadd", "-n", "0", "-F", dir)
	add.Stdin = strings.NewReader(`dn: cn=config
objectClass: olcGlobal
cn: config
olcPidFile: ` + run + `/slapd.pid
olcArgsFile: ` + run + `/slapd.args

dn: olcDatabase={0}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {0}config
`)
	if out, err := add.CombinedOutput(); err != nil {
		s.t.Fatalf("slapadd: %v\n%s", err, out)
	}
}

// ldapStartTLS is RFC 4511's StartTLS (4.14) and its answer.
func ldapStartTLS(conn net.Conn) error {
	return exchange(conn, "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037", "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")
}
