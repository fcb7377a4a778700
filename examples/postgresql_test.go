package examples_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// TestPostgreSQL runs the example as an unprivileged user: 10 rotations while
// psql connects with sslmode=verify-full without pause.
func TestPostgreSQL(t *testing.T) {
	bin := filepath.Dir(need(t, "/usr/lib/postgresql/*/bin/initdb"))
	psql := need(t, "psql")
	as, name := unprivileged(t)
	dir, err := os.MkdirTemp("", "pg-") // a short path, for PostgreSQL's socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if as != nil {
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	asUser := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}

	data, tlsDir := filepath.Join(dir, "data"), filepath.Join(dir, "tls")
	if out, err := asUser(filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", name, "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	address := freeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	ssl := adapt(t, "postgresql/postgresql.conf", dir, "/run/postgresql/tls", tlsDir)
	settings := fmt.Sprintf("include '%s'\nlisten_addresses = '%s'\nport = %s\nunix_socket_directories = '%s'\nfsync = off\n", ssl, host, port, dir)
	if err := os.WriteFile(filepath.Join(data, "postgresql.conf"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}

	api := startAPI(t, devapi.Config{Identities: []devapi.Identity{identity("db", "localhost")}})
	conf := adapt(t, "postgresql/helper.conf", dir,
		"/run/postgresql/tls", tlsDir,
		"/usr/lib/postgresql/15/bin/postgres", filepath.Join(bin, "postgres"),
		"/var/lib/postgresql/15/main", data)
	cmd := asUser(svidhelper, "run", "-config", conf)
	cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+api.Addr())
	helper := start(t, cmd)

	trust := &tls.Config{RootCAs: roots(t, api), ServerName: "localhost"}
	served := newClient(postgresDial(address, trust))
	awaitListener(t, served.dial, helper)
	postmaster := helper.children()

	ctx, stop := context.WithCancel(deadline(t, 2*time.Minute))
	done := make(chan struct{})
	go func() { served.run(ctx, 1); close(done) }()
	queries, queried := make(chan error), 0
	go func() {
		defer close(queries)
		for ctx.Err() == nil {
			q := exec.Command(psql, "-XAtc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()",
				fmt.Sprintf("host=localhost hostaddr=%s port=%s user=%s dbname=postgres sslmode=verify-full sslrootcert=%s/root.crt", host, port, name, tlsDir))
			out, err := q.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "t" {
				err = fmt.Errorf("psql: %v: %s", err, out)
			}
			select {
			case queries <- err:
			case <-ctx.Done():
			}
		}
	}()
	for range 10 {
		served.await(t, rotate(t, api), 10*time.Second)
		for range 2 { // the first may have begun before the rotation
			if err := <-queries; err != nil {
				t.Fatal(err)
			}
			queried++
		}
	}
	stop()
	<-done
	for err := range queries {
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("10 rotations, %d psql connections, %d handshakes, %d failed", queried, served.dials, len(served.failures))

	if now := helper.children(); !slices.Equal(now, postmaster) {
		t.Errorf("the postmaster was %v and is now %v", postmaster, now)
	}
	if status := helper.stop(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d, PostgreSQL's is 0", status)
	}
}

// unprivileged returns a user other than root and its name; no credential means
// that we are not root ourselves.
func unprivileged(t *testing.T) (*syscall.Credential, string) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid != "0" {
		return nil, me.Username
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(atoi(t, nobody.Uid)), Gid: uint32(atoi(t, nobody.Gid))}, nobody.Username
}

// postgresDial is tlsDial behind PostgreSQL's SSLRequest.
func postgresDial(address string, config *tls.Config) func(context.Context) (*big.Int, error) {
	const sslRequest = 80877103
	return func(ctx context.Context) (*big.Int, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		request := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), sslRequest)
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		answer := make([]byte, 1)
		if _, err := conn.Read(answer); err != nil {
			return nil, err
		}
		if answer[0] != 'S' {
			return nil, fmt.Errorf("the server answered the SSLRequest with %q", answer)
		}
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secured.ConnectionState().PeerCertificates[0].SerialNumber, nil
	}
}
