package examples_test

import (
	"context"
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// TestNginx runs the example, and the same server under flags alone and under
// a plain spiffe-helper file: 50 rotations each, with clients that make new TLS
// connections without pause.
func TestNginx(t *testing.T) {
	nginx := need(t, "nginx")
	cases := []struct {
		name string
		// args prepares what dir needs and returns svidhelper's arguments.
		args func(t *testing.T, api, dir, tls, conf string) []string
		// cert and key are what nginx.conf names.
		cert, key, bundle string
	}{
		{
			name: "example",
			args: func(t *testing.T, api, dir, tls, conf string) []string {
				return []string{"run", "-config", adapt(t, "nginx/helper.conf", dir,
					"/run/nginx/tls", tls,
					`["nginx", "-g", "daemon off;"]`, `["`+nginx+`", "-p", "`+dir+`", "-c", "`+conf+`", "-g", "daemon off;"]`)}
			},
			cert: "tls.crt", key: "tls.key", bundle: "ca.crt",
		},
		{
			name: "flags",
			args: func(t *testing.T, api, dir, tls, conf string) []string {
				return []string{"run", "-dir", tls, "--", nginx, "-p", dir, "-c", conf, "-g", "daemon off;"}
			},
			cert: "svid.pem", key: "svid_key.pem", bundle: "svid_bundle.pem",
		},
		{
			name: "spiffe-helper file",
			args: func(t *testing.T, api, dir, tls, conf string) []string {
				return []string{"-config", adapt(t, "nginx/spiffe-helper.conf", dir,
					"/run/nginx/tls", tls,
					"/tmp/spire-agent/public/api.sock", strings.TrimPrefix(api, "unix://"),
					`"nginx"`, `"`+nginx+`"`,
					`"-g `, `"-p `+dir+` -c `+conf+` -g `)}
			},
			cert: "tls.crt", key: "tls.key", bundle: "ca.crt",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			tlsDir := filepath.Join(dir, "tls")
			address := freeAddress(t)
			conf := adapt(t, "nginx/nginx.conf", dir,
				"127.0.0.1:8443", address,
				"/run/nginx/tls/tls.crt", filepath.Join(tlsDir, c.cert),
				"/run/nginx/tls/tls.key", filepath.Join(tlsDir, c.key),
				"/run/nginx/tls/ca.crt", filepath.Join(tlsDir, c.bundle))

			api := startAPI(t, devapi.Config{Identities: []devapi.Identity{identity("web", "localhost")}})
			cmd := exec.Command(svidhelper, c.args(t, api.Addr(), dir, tlsDir, conf)...)
			cmd.Dir = dir
			cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+api.Addr())
			helper := start(t, cmd)

			trust := &tls.Config{RootCAs: roots(t, api), ServerName: "localhost"}
			served := newClient(tlsDial(address, trust))
			awaitListener(t, served.dial, helper)
			master := helper.children()
			if len(master) != 1 {
				t.Fatalf("svidhelper has the children %v", master)
			}

			ctx, stop := context.WithCancel(deadline(t, 2*time.Minute))
			done := make(chan struct{})
			go func() { served.run(ctx, 2); close(done) }()
			for range 50 {
				served.await(t, rotate(t, api), 10*time.Second)
			}
			stop()
			<-done
			t.Logf("50 rotations, %d handshakes, %d failed", served.dials, len(served.failures))

			if now := helper.children(); !slices.Equal(now, master) {
				t.Errorf("nginx's master was %v and is now %v", master, now)
			}
			if status := helper.stop(syscall.SIGTERM); status != 0 {
				t.Errorf("exit status %d, nginx's is 0", status)
			}
			if err := syscall.Kill(-atoi(t, master[0]), 0); err == nil {
				t.Errorf("nginx's processes are still there")
			}
			if strings.Contains(helper.out.String(), "PRIVATE KEY") {
				t.Error("a key in the log")
			}
		})
	}
}
