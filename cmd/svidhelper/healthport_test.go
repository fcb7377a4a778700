//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// TestHealthPortUnderBadClients: readers that do not read, headers without end,
// thousands of connections and wrong methods, all at once. Probes are answered,
// rotations arrive on time, and memory stays bounded.
func TestHealthPortUnderBadClients(t *testing.T) {
	const connections, rotations = 5000, 20
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	dir := memoryDir(t)
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	log := newLines()
	config := filepath.Join(dir, "helper.conf")
	text := fmt.Sprintf(`
agent_address = %q
output %q {
  x509_svid {}
}
health { address = %q }
log { level = "warn" }
`, api.Addr(), filepath.Join(dir, "certs"), address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("svidhelper", "run", "-config", config)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, log)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	ask := func(path string) (int, string, error) {
		resp, err := client.Get("http://" + address + path)
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), err
	}
	metric := func(name string) float64 {
		t.Helper()
		var value float64
		eventually(t, func() error { // others may be reading
			_, body, err := ask("/metrics")
			_, rest, found := strings.Cut(body, "\n"+name+" ")
			if err != nil || !found {
				return fmt.Errorf("no %s: %v %s", name, err, body)
			}
			line, _, _ := strings.Cut(rest, "\n")
			value, err = strconv.ParseFloat(line, 64)
			return err
		})
		return value
	}
	eventually(t, func() error {
		if code, body, err := ask("/ready"); err != nil || code != http.StatusOK {
			return fmt.Errorf("ready: %d %s %v", code, body, err)
		}
		return nil
	})
	before := metric("go_memstats_sys_bytes")

	var clients sync.WaitGroup
	ended := make(chan struct{})
	stop := sync.OnceFunc(func() { close(ended); clients.Wait() })
	defer stop()
	var open sync.WaitGroup // the connections that have been made
	connect := func(send func(net.Conn)) {
		open.Add(1)
		clients.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				open.Done()
				return
			}
			defer conn.Close()
			send(conn)
			open.Done()
			<-ended
		})
	}
	for range connections {
		connect(func(c net.Conn) { _, _ = io.WriteString(c, "GET /ready HTTP/1.1\r\nHost: x\r\n") })
	}
	for range 50 {
		connect(func(c net.Conn) {
			_ = c.(*net.TCPConn).SetReadBuffer(1)
			for range 100 { // pipelined, and none of the answers is read
				_ = c.SetWriteDeadline(time.Now().Add(time.Second))
				if _, err := io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET /status.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					return
				}
			}
		})
		connect(func(c net.Conn) {
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
		})
		connect(func(c net.Conn) {
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = io.WriteString(c, "GET /ready HTTP/1.1\r\nX: "+strings.Repeat("x", 4<<20))
		})
		connect(func(c net.Conn) {
			_, _ = io.WriteString(c, "DELETE /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
			_ = c.SetReadDeadline(time.Now().Add(patience))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("DELETE = %d", resp.StatusCode)
			}
		})
	}

	machine := testbed.StartPulse()
	var slowest time.Duration
	for range rotations {
		began := time.Now()
		want := api.Rotate()[0].Certificates[0]
		eventually(t, func() error {
			pem, err := os.ReadFile(filepath.Join(dir, "certs", "svid.pem"))
			if certs := certificates(t, string(pem)); err != nil || len(certs) == 0 || !certs[0].Equal(want) {
				return fmt.Errorf("the last SVID is not on disk: %v", err)
			}
			return nil
		})
		took, late := time.Since(began), machine.Since(began)
		slowest = max(slowest, took)
		if took-hops*late > time.Second {
			t.Errorf("a rotation took %v, on a machine that was late by %v", took, late)
		}
		answered := false
		for range 3 { // a thousand that come at the same time can push a probe out
			code, _, err := ask("/ready")
			answered = answered || err == nil && code == http.StatusOK
		}
		if !answered {
			t.Error("three probes in a row are not answered with ready")
		}
	}
	machine.Stop()
	open.Wait()
	during := metric("go_memstats_sys_bytes")
	t.Logf("%d rotations, the slowest took %v; memory from %.0f to %.0f MB", rotations, slowest.Round(time.Millisecond), before/1e6, during/1e6)
	if during-before > 64e6 {
		t.Errorf("memory grew from %.0f to %.0f MB", before/1e6, during/1e6)
	}
	stop()
}
