//go:build linux

package examples_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPostgreSQL runs the example as an unprivileged user: 30 rotations while
// clients, psql with sslmode=verify-full among them, connect without pause. The
// same cluster then shows which rights of the key PostgreSQL accepts.
func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	s, bin := newPostgreSQL(t)
	psql := need(t, "psql")
	s.startPostgreSQL(bin, "postgresql/helper.conf")

	host, port, _ := net.SplitHostPort(s.address)
	cert, key, bundle := s.clientFiles()
	query := []string{psql, "-XAtq", "-d", fmt.Sprintf(
		"host=localhost hostaddr=%s port=%s user=postgres dbname=postgres sslmode=verify-full sslrootcert=%s sslcert=%s sslkey=%s",
		host, port, bundle, cert, key)}
	const ssl = "select ssl, client_serial is not null from pg_stat_ssl where pid = pg_backend_pid();"
	tls := s.clientTLS()
	s.rotate(rotations,
		holdProgram(ssl, "t|t", query...),
		newClient("TLS connections", talkDial(s.address, tls, sslRequest, pgLogin)),
		s.ownClient("psql", "t|t", append(query, "-c", ssl)...))

	s.trustsNewAuthority(sslRequest, pgLogin)
	s.stop(0)
}

// TestPostgreSQLKeyRights shows that PostgreSQL starts with the rights that the
// examples give to the key, and with no others.
func TestPostgreSQLKeyRights(t *testing.T) {
	t.Parallel()
	s, bin := newPostgreSQL(t)
	t.Run("its own, 0600", func(t *testing.T) {
		s := s.again(t)
		s.startPostgreSQL(bin, "postgresql/helper.conf")
		s.hasMode("server.key", 0o600)
		s.stop(0)
	})
	t.Run("its own, 0640", func(t *testing.T) {
		s := s.again(t)
		s.launchPostgreSQL(bin, "postgresql/helper.conf", `"0600"`, `"0640"`)
		s.refusesKey(`has group or world access`)
	})
	if os.Getuid() != 0 {
		return // nobody else can own a file of ours
	}
	t.Run("root's, 0640 with its group", func(t *testing.T) {
		s := s.again(t)
		s.as = nil
		s.startPostgreSQL(bin, "postgresql/helper-root.conf")
		s.hasMode("server.key", 0o640)
		s.stop(0)
	})
	t.Run("root's, 0644", func(t *testing.T) {
		s := s.again(t)
		s.as = nil
		s.launchPostgreSQL(bin, "postgresql/helper-root.conf", `"0640"`, `"0644"`)
		s.refusesKey(`has group or world access`)
	})
	t.Run("root's, 0600", func(t *testing.T) {
		s := s.again(t)
		s.as = nil
		s.launchPostgreSQL(bin, "postgresql/helper-root.conf", `"0640"`, `"0600"`)
		s.refusesKey(`cannot read what is published`) // svidhelper knows before PostgreSQL does
	})
}

// newPostgreSQL makes a cluster. svidhelper is to run as its owner, since
// PostgreSQL refuses root.
func newPostgreSQL(t *testing.T) (s *service, bin string) {
	t.Helper()
	bin = filepath.Dir(need(t, "/usr/lib/postgresql/*/bin/initdb"))
	s = newService(t, "pg")
	data := s.owned("data", "postgres")
	s.tls = filepath.Join(s.owned("run", "postgres"), "tls")
	s.as = credential(t, "postgres")

	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
	initdb.Dir = s.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	return s, bin
}

// again is the same service in another test, with a directory of its own for
// the output.
func (s *service) again(t *testing.T) *service {
	t.Helper()
	next := newService(t, "pg")
	next.as = s.as
	next.tls = filepath.Join(next.owned("run", "postgres"), "tls")
	if err := os.Symlink(filepath.Join(s.dir, "data"), filepath.Join(next.dir, "data")); err != nil {
		t.Fatal(err)
	}
	return next
}

func (s *service) startPostgreSQL(bin, example string, oldnew ...string) {
	s.t.Helper()
	s.start(example, append(s.configurePostgreSQL(bin), oldnew...)...)
}

// launchPostgreSQL does not expect it to start.
func (s *service) launchPostgreSQL(bin, example string, oldnew ...string) {
	s.t.Helper()
	s.launch(s.conf(example, append(s.configurePostgreSQL(bin), oldnew...)...))
}

// configurePostgreSQL writes the cluster's settings and returns what they make
// of the example.
func (s *service) configurePostgreSQL(bin string) (oldnew []string) {
	s.t.Helper()
	data := filepath.Join(s.dir, "data")
	host, port, _ := net.SplitHostPort(s.address)
	ssl := s.adapt("postgresql/postgresql.conf", "/run/postgresql/tls", s.tls)
	settings := fmt.Sprintf("include '%s'\nlisten_addresses = '%s'\nport = %s\nunix_socket_directories = ''\nfsync = off\n", ssl, host, port)
	adaptText(s.t, settings, data, "postgresql.conf")
	access := s.adapt("postgresql/pg_hba.conf", "scram-sha-256", "trust")
	b, err := os.ReadFile(access)
	if err != nil {
		s.t.Fatal(err)
	}
	adaptText(s.t, string(b), data, "pg_hba.conf")
	return []string{
		"/run/postgresql/tls", s.tls,
		"/usr/lib/postgresql/15/bin/postgres", filepath.Join(bin, "postgres"),
		"/etc/postgresql/15/main", data,
		"127.0.0.1:5432", s.address,
	}
}

// refusesKey asserts that the server does not start, and says so.
func (s *service) refusesKey(why string) {
	s.t.Helper()
	select {
	case <-s.helper.done:
	case <-time.After(patience):
		s.t.Fatal("PostgreSQL takes the key")
	}
	s.ended(1)
	s.helper.said(why)
}

// hasMode asserts a published file's mode.
func (s *service) hasMode(name string, want os.FileMode) {
	s.t.Helper()
	info, err := os.Stat(filepath.Join(s.tls, name))
	if err != nil {
		s.t.Fatal(err)
	}
	if info.Mode().Perm() != want {
		s.t.Errorf("%s has mode %v, not %v", name, info.Mode().Perm(), want)
	}
}
