//go:build linux && services

package examples_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// TestServicePgBouncer runs the example before a PostgreSQL that wants an SVID: 30
// rotations while clients, psql among them, connect with mutual TLS, then a new
// authority.
func TestServicePgBouncer(t *testing.T) {
	t.Parallel()
	t.Run("README", func(t *testing.T) { runReadme(t, "pgbouncer", "pgbouncer", "openssl") })
	need(t, "pgbouncer")
	psql := need(t, "psql")
	s, bin := newPostgreSQL(t)
	user := s.as
	s.as = nil
	backend := freeAddress(t)
	_, backendPort, _ := net.SplitHostPort(backend)
	host, port, _ := net.SplitHostPort(s.address)
	users := adaptText(t, `"postgres" ""`, s.dir, "userlist.txt")
	conf := s.adapt("pgbouncer/pgbouncer.ini",
		"host=127.0.0.1 port=5432", "host=localhost port="+backendPort,
		"listen_port = 6432", "listen_port = "+port,
		"scram-sha-256", "trust\nserver_login_retry = 1", // while PostgreSQL has not heard
		"/etc/pgbouncer/userlist.txt", users,
		"/run/pgbouncer/tls", s.tls)
	s.start("pgbouncer/helper.conf",
		"/etc/pgbouncer/pgbouncer.ini", conf,
		"/run/pgbouncer/tls", s.tls,
		"127.0.0.1:6432", s.address)

	data := filepath.Join(s.dir, "data")
	adaptText(t, "hostssl all all all trust clientcert=verify-ca\n", data, "pg_hba.conf")
	postgres := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", "localhost", "-p", backendPort,
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "ssl=on", "-c", "ssl_cert_file="+s.tls+"/tls.crt",
		"-c", "ssl_key_file="+s.tls+"/tls.key", "-c", "ssl_ca_file="+s.tls+"/ca.crt")
	postgres.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	behind := start(t, postgres)
	behind.said("database system is ready to accept connections")

	cert, key, bundle := s.clientFiles()
	query := []string{psql, "-XAtq", "-d", fmt.Sprintf(
		"host=localhost hostaddr=%s port=%s user=postgres dbname=postgres sslmode=verify-full sslrootcert=%s sslcert=%s sslkey=%s",
		host, port, bundle, cert, key)}
	const ssl = "select ssl, client_serial is not null from pg_stat_ssl where pid = pg_backend_pid();"
	config := s.clientTLS()
	s.byHand(s.signal(syscall.SIGHUP), newClient("TLS connections", talkDial(s.address, config, sslRequest, pgLogin)))
	s.rotate(rotations,
		holdProgram(ssl, "t|t", query...),
		newClient("TLS connections", talkDial(s.address, config, sslRequest, pgLogin)),
		s.ownClient("psql", "t|t", append(query, "-c", ssl)...))

	s.trustsNewAuthority(sslRequest, func(conn *tls.Conn) error {
		if err := behind.cmd.Process.Signal(syscall.SIGHUP); err != nil { // it is to trust it too
			return err
		}
		return pgLogin(conn)
	})
	s.refusesStranger(sslRequest, pgLogin)
	behind.stop(syscall.SIGINT)
	s.stop(0)
}
