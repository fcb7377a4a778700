package health

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
)

// Connections that are kept open by clients that never end a request, or ask
// nothing more, do not use up the descriptors that files are published with,
// and do not keep a probe out.
func TestACrowdDoesNotKeepProbesOut(t *testing.T) {
	for name, request := range map[string]string{
		"unfinished": "GET /ready HTTP/1.1\r\nHost: x\r\n",
		"idle":       "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			base := start(t, config.Health{}, healthy)
			var crowd []net.Conn
			for range maxConnections + 50 {
				conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := io.WriteString(conn, request); err != nil {
					t.Fatal(err)
				}
				crowd = append(crowd, conn)
			}
			if code, body := get(t, base+"/ready"); code != 200 {
				t.Errorf("/ready = %d %s", code, body)
			}
			for _, conn := range crowd[:50] { // the oldest have been sent away
				_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second)) // sooner than by the clock of the server
				if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
					t.Fatal("an old connection is still open")
				}
			}
		})
	}
}

// HAProxy asks with OPTIONS unless it is told otherwise, and spiffe-helper
// answers its two checks whatever the method.
func TestChecksAnswerAnyMethod(t *testing.T) {
	base := start(t, config.Health{}, healthy)
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
		for path, want := range map[string]int{"/live": 200, "/ready": 200, "/nothing": 404} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "%s %s HTTP/1.0\r\n\r\n", method, path)
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != want || (len(body) == 0) != (method == "HEAD") {
				t.Errorf("%s %s = %d, %q", method, path, resp.StatusCode, body)
			}
			conn.Close()
		}
	}
}

// A probe asks for /healthz, and the configuration says /healthz/.
func TestAPathWithASlashAtItsEnd(t *testing.T) {
	base := start(t, config.Health{LivePath: "/healthz/", ReadyPath: "/healthz/ready/"}, healthy)
	for path, want := range map[string]int{"/healthz/": 200, "/healthz": 200, "/healthz/ready": 200, "/healthz/other": 404} {
		if code, body := get(t, base+path); code != want {
			t.Errorf("%s = %d %s, want %d", path, code, body, want)
		}
	}
}
