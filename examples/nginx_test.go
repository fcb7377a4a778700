//go:build linux

package examples_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// get is a request over HTTP, as nginx and HAProxy answer it.
var get = ask("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n")

// halves is a request that takes as long as its client does: a server that
// reloads politely still answers it.
var halves = [2]talk{
	ask("GET / HTTP/1.1\r\nHost: localhost\r\n", ""),
	ask("Connection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n"),
}

// TestNginx runs the example: 50 rotations, with clients that make new TLS
// connections without pause, and a request that lasts throughout.
func TestNginx(t *testing.T) {
	t.Parallel()
	s := newService(t, "nginx")
	s.startNginx(need(t, "nginx"))
	tls := s.clientTLS()
	s.rotate(50,
		holdTLS(s.address, tls, halves[0], halves[1]),
		newClient("TLS connections", talkDial(s.address, tls, nil, get)))
	s.trustsNewAuthority(nil, get)
	master := s.helper.children()
	s.stop(0)
	if err := syscall.Kill(-atoi(t, master[0]), 0); err == nil {
		t.Errorf("nginx's processes are still there")
	}
}

// startNginx starts the example.
func (s *service) startNginx(nginx string, oldnew ...string) {
	s.t.Helper()
	conf := s.adapt("nginx/nginx.conf",
		"/run/nginx.pid", filepath.Join(s.dir, "nginx.pid"),
		"access_log off;", "access_log off; client_header_timeout 10m;", // the request that lasts
		"127.0.0.1:8443", s.address,
		"/run/nginx/tls", s.tls)
	s.start("nginx/helper.conf", append(oldnew,
		"127.0.0.1:8443", s.address,
		"/run/nginx/tls", s.tls,
		`["nginx", "-g", "daemon off;"]`, `["`+nginx+`", "-p", "`+s.dir+`", "-c", "`+conf+`", "-g", "daemon off;"]`)...)
}

// TestNginxOtherwise runs the same server under flags alone and under a plain
// spiffe-helper file.
func TestNginxOtherwise(t *testing.T) {
	t.Parallel()
	nginx := need(t, "nginx")
	cases := []struct {
		name string
		// args prepares what dir needs and returns svidhelper's arguments.
		args func(t *testing.T, api, dir, tls, conf string) []string
		// cert and key are what nginx.conf names.
		cert, key, bundle string
	}{
		{
			name: "flags",
			args: func(t *testing.T, api, dir, tls, conf string) []string {
				return []string{"run", "-dir", tls, "-on-rotation", "SIGHUP", "--", nginx, "-p", dir, "-c", conf, "-g", "daemon off;"}
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
			s := newService(t, "nginx")
			conf := s.adapt("nginx/nginx.conf",
				"/run/nginx.pid", filepath.Join(s.dir, "nginx.pid"),
				"127.0.0.1:8443", s.address,
				"/run/nginx/tls/tls.crt", filepath.Join(s.tls, c.cert),
				"/run/nginx/tls/tls.key", filepath.Join(s.tls, c.key),
				"/run/nginx/tls/ca.crt", filepath.Join(s.tls, c.bundle))
			cmd := exec.Command(svidhelper, c.args(t, s.api.Addr(), s.dir, s.tls, conf)...)
			cmd.Dir = s.dir
			cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+s.api.Addr())
			s.helper = start(t, cmd)

			served := newClient("TLS connections", talkDial(s.address, s.clientTLS(), nil, get))
			awaitListener(t, served.dial, s.helper)
			master := s.helper.children()
			if len(master) != 1 {
				t.Fatalf("svidhelper has the children %v", master)
			}
			ctx, stop := context.WithCancel(deadline(t, 5*time.Minute))
			defer stop()
			done := make(chan struct{})
			go func() { served.run(ctx, 1); close(done) }()
			for range 50 {
				served.await(t, rotate(t, s.api))
			}
			stop()
			<-done
			t.Logf("50 rotations, %d handshakes, %d failed", served.dials, len(served.failures))

			if now := s.helper.children(); !slices.Equal(now, master) {
				t.Errorf("nginx's master was %v and is now %v", master, now)
			}
			s.stop(0)
			if err := syscall.Kill(-atoi(t, master[0]), 0); err == nil {
				t.Errorf("nginx's processes are still there")
			}
		})
	}
}
