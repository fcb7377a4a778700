//go:build linux

package examples_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
)

// TestMariaDB runs the example: 30 rotations while clients log in with mutual
// TLS.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	need(t, "mariadbd")
	need(t, "mariadb-admin")
	cli := need(t, "mariadb")
	s := newService(t, "mariadb")
	data := s.newMariaDB()
	socket := filepath.Join(data, "s")
	host, port, _ := net.SplitHostPort(s.address)
	conf := s.adapt("mariadb/svidhelper.cnf",
		"3306", port,
		"/run/mysqld/mysqld.sock", socket,
		"/run/mysqld/tls", s.tls)
	s.start("mariadb/helper.conf",
		`["mariadbd"]`, fmt.Sprintf(`["mariadbd", "--defaults-file=%s", "--datadir=%s/data", "--init-file=%s", "--innodb-flush-log-at-trx-commit=0", "--innodb-fast-shutdown=2"]`,
			conf, data, adaptText(t, "CREATE USER app REQUIRE X509;\n", s.dir, "init.sql")),
		"--user=root", "--user="+me(t),
		"/run/mysqld/mysqld.sock", socket,
		"/run/mysqld/tls", s.tls,
		"127.0.0.1:3306", s.address)

	cert, key, bundle := s.clientFiles()
	query := []string{cli, "--no-defaults", "--unbuffered", "-BN", "--protocol=TCP", "--host=localhost", "--port=" + port, "--user=app",
		"--ssl-verify-server-cert", "--ssl-ca=" + bundle, "--ssl-cert=" + cert, "--ssl-key=" + key}
	tls := s.clientTLS()
	s.rotate(rotations,
		holdProgram("select 'hello';", "hello", query...),
		newClient("TLS connections", talkDial(s.address, tls, mysqlSSL, mysqlLogin)),
		s.ownClient("mariadb", "hello", append(query, "-e", "select 'hello'")...))

	s.trustsNewAuthority(mysqlSSL, mysqlLogin)
	if _, err := talkDial(net.JoinHostPort(host, port), withoutCertificate(tls), mysqlSSL, mysqlLogin)(deadline(t, patience)); err == nil {
		t.Error("a client without an SVID is let in")
	}
	s.stop(0)
}

// newMariaDB makes an empty database and returns the directory that holds it.
func (s *service) newMariaDB() string {
	s.t.Helper()
	dir := s.owned("m", "mysql")
	install := exec.Command(need(s.t, "mariadb-install-db"), "--no-defaults", "--datadir="+filepath.Join(dir, "data"),
		"--skip-test-db", "--auth-root-authentication-method=socket", "--auth-root-socket-user="+me(s.t))
	if c := credential(s.t, "mysql"); c != nil {
		install.Args = append(install.Args, "--user=mysql")
	}
	if out, err := install.CombinedOutput(); err != nil {
		s.t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	return dir
}

// me is the name of the user who runs the test.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func withoutCertificate(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.Certificates = nil
	return c
}

// What a client of MySQL's protocol can do.
const mysqlCapabilities = 1<<9 | 1<<11 | 1<<15 | 1<<19 // 4.1, TLS, secure authentication, plugins

func mysqlPacket(sequence byte, payload []byte) []byte {
	return append([]byte{byte(len(payload)), 0, 0, sequence}, payload...)
}

func readMySQL(conn io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, err
	}
	payload := make([]byte, int(head[0])|int(head[1])<<8)
	_, err := io.ReadFull(conn, payload)
	if err == nil && (len(payload) == 0 || payload[0] == 0xff) {
		err = fmt.Errorf("the server says %q", payload)
	}
	return payload, err
}

// mysqlHello is what is the same in the request for TLS and in the login.
func mysqlHello() []byte {
	hello := binary.LittleEndian.AppendUint32(nil, mysqlCapabilities)
	hello = binary.LittleEndian.AppendUint32(hello, 1<<20)
	return append(hello, append([]byte{45}, make([]byte, 23)...)...) // utf8mb4
}

// mysqlSSL is what a client says before TLS.
func mysqlSSL(conn net.Conn) error {
	if _, err := readMySQL(conn); err != nil {
		return err
	}
	_, err := conn.Write(mysqlPacket(1, mysqlHello()))
	return err
}

// mysqlLogin logs in, and leaves once it is welcome.
func mysqlLogin(conn *tls.Conn) error {
	login := append(mysqlHello(), "app\x00\x00mysql_native_password\x00"...)
	if _, err := conn.Write(mysqlPacket(2, login)); err != nil {
		return err
	}
	welcome, err := readMySQL(conn)
	if err == nil && welcome[0] != 0 {
		err = errors.New("the server wants a password")
	}
	if err == nil {
		_, err = conn.Write(mysqlPacket(0, []byte{1})) // COM_QUIT
	}
	return err
}
