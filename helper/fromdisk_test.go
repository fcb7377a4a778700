package helper

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// TestRestartInAnOutage: a helper that starts while the Workload API is away
// starts the process on a set that an earlier run has left, if that is whole,
// unexpired and what the configuration asks for; otherwise it says why it waits.
func TestRestartInAnOutage(t *testing.T) {
	const promised = 200 * time.Millisecond
	for name, c := range map[string]struct {
		ttl    time.Duration
		change func(t *testing.T, certs, text string) string // between the runs
		waits  string                                        // why; empty: it does not
	}{
		"nothing has changed": {},
		"expired": {
			ttl: time.Second,
			change: func(t *testing.T, certs, text string) string {
				pass(time.Until(leafOnDisk(t, certs, "svid.pem").NotAfter) + 10*time.Millisecond)
				return text
			},
			waits: "expired",
		},
		"another configuration": {
			change: func(_ *testing.T, _, text string) string {
				return strings.Replace(text, "x509_svid {", "x509_svid {\n key_encoding = \"traditional\"", 1)
			},
			waits: "another configuration",
		},
		"start_from_disk = false": {
			change: func(_ *testing.T, _, text string) string {
				return strings.Replace(text, "on_rotation", "start_from_disk = false\n  on_rotation", 1)
			},
			waits: "start_from_disk",
		},
		"a key that was cut": {
			change: func(t *testing.T, certs, text string) string {
				if err := os.Truncate(filepath.Join(certs, "..data", "svid_key.pem"), 10); err != nil {
					t.Fatal(err)
				}
				return text
			},
			waits: "key",
		},
		"a certificate of another set": {
			change: func(t *testing.T, certs, text string) string {
				name := filepath.Join(certs, "..data", "svid.pem")
				if err := os.WriteFile(name, []byte(read(certs, "svid_bundle.pem")), 0o644); err != nil {
					t.Fatal(err)
				}
				return text
			},
			waits: "belongs to another certificate",
		},
		"a file that is gone": {
			change: func(t *testing.T, certs, text string) string {
				if err := os.Remove(filepath.Join(certs, "..data", "svid_bundle.pem")); err != nil {
					t.Fatal(err)
				}
				return text
			},
			waits: "svid_bundle.pem",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: c.ttl})
			dir := t.TempDir()
			certs, record := filepath.Join(dir, "certs"), filepath.Join(dir, "record")
			text := fmt.Sprintf("output %q {\n x509_svid {\n }\n}", certs) + childProcess(t, record, `on_rotation = "SIGHUP"`)
			first := startDaemon(t, api, text)
			awaitStarted(t, record)
			first.stop()
			first.end()
			api.Down()
			if err := os.Remove(record); err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				text = c.change(t, certs, text)
			}
			pulse := testbed.StartPulse()
			began := time.Now()
			second := startDaemon(t, api, text)
			if c.waits == "" {
				second.log.Await(t, 1, "process started")
				took, late := time.Since(began), pulse.Stop()
				t.Logf("the process was started after %v; the machine was late by %v", took, late)
				if took-20*late > promised {
					t.Errorf("the process was started after %v, promised are %v", took, promised)
				}
				second.log.Await(t, 1, "on disk already")
			} else {
				pulse.Stop()
				second.log.Await(t, 1, "the process waits for the Workload API", c.waits)
				if strings.Contains(read(record), "started") {
					t.Error("the process was started")
				}
			}
			api.Rotate()
			if err := api.Up(); err != nil {
				t.Fatal(err)
			}
			awaitStarted(t, record)
		})
	}
}
