//go:build linux

package examples_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// fetchTemplates writes the example's files once, and returns their directory.
func fetchTemplates(t *testing.T) string {
	t.Helper()
	api := startAPI(t, devapi.Config{Identities: []devapi.Identity{identity("web", "localhost")}})
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("templates")); err != nil {
		t.Fatal(err)
	}
	conf := adapt(t, "templates/helper.conf", dir, "/run/svidhelper/templates", filepath.Join(dir, "files"))
	cmd := exec.Command(svidhelper, "fetch", "-config", conf, "-timeout", "30s")
	cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+api.Addr())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]os.FileMode{"envoy-sds.json": 0o600, "pgpass": 0o600, "svid.map": 0o644, "certificate_config.json": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, "files", name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want mode %v", name, info, err, want)
		}
	}
	return filepath.Join(dir, "files")
}

// TestTemplateNginx: nginx takes the map.
func TestTemplateNginx(t *testing.T) {
	t.Parallel()
	nginx := need(t, "nginx")
	files := fetchTemplates(t)
	conf := adaptText(t, fmt.Sprintf(`
events {}
pid %s/pid;
error_log stderr;
http {
  include %[1]s/svid.map;
  access_log off;
  server {
    listen unix:%[1]s/socket;
    location / { return 200 "$svid_spiffe_id $svid_serial $svid_expires"; }
  }
}
`, files), t.TempDir(), "nginx.conf")
	if out, err := exec.Command(nginx, "-t", "-p", files, "-c", conf).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTemplatePgpass: psql finds the token in the file, and shows it as the password.
func TestTemplatePgpass(t *testing.T) {
	t.Parallel()
	psql := need(t, "psql")
	files := fetchTemplates(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shown := make(chan string, 1)
	go func() { shown <- askPassword(listener) }()
	port := listener.Addr().(*net.TCPAddr).Port
	cmd := exec.Command(psql, "-h", "localhost", "-p", fmt.Sprint(port), "-U", "/web", "-w", "-c", "select 1", "sslmode=disable dbname=x hostaddr=127.0.0.1 host=localhost")
	cmd.Env = append(cmd.Environ(), "PGPASSFILE="+filepath.Join(files, "pgpass"))
	out, _ := cmd.CombinedOutput() // the server hangs up
	want, err := os.ReadFile(filepath.Join(files, "postgresql.jwt"))
	if err != nil {
		t.Fatal(err)
	}
	if got := <-shown; got != string(want) {
		t.Errorf("psql shows %q, and the token is %q\n%s", got, want, out)
	}
}

// askPassword is a server of PostgreSQL's protocol that asks one client for its
// password in clear text, and returns it.
func askPassword(listener net.Listener) string {
	conn, err := listener.Accept()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err.Error()
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))-4); err != nil { // StartupMessage
		return err.Error()
	}
	if _, err := conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}); err != nil { // AuthenticationCleartextPassword
		return err.Error()
	}
	var kind [5]byte
	if _, err := io.ReadFull(conn, kind[:]); err != nil || kind[0] != 'p' {
		return fmt.Sprint("no password: ", err)
	}
	var password bytes.Buffer
	if _, err := io.CopyN(&password, conn, int64(binary.BigEndian.Uint32(kind[1:]))-4); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(password.String(), "\x00")
}
