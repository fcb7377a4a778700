//go:build unix

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestFetchIsStopped: SIGTERM ends a fetch that waits, within 100 ms, and is no
// success: what comes after it must not run without its files.
func TestFetchIsStopped(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
			faults.Deny()
			cmd := exec.Command("svidhelper", "fetch", "-dir", filepath.Join(t.TempDir(), "certs"), "-timeout", "1h")
			cmd.Env = append(cmd.Environ(), "SPIFFE_ENDPOINT_SOCKET="+api.Addr(), "GORACE=atexit_sleep_ms=0")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 1); err != nil {
				t.Error(err)
			}
			begin := time.Now()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Error(err)
			}
			_ = cmd.Wait()
			took := time.Since(begin)
			t.Logf("ended %v after the signal", took)
			if took > 100*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			if code := cmd.ProcessState.ExitCode(); code != exitFailure {
				t.Errorf("exit status %d", code)
			}
			if !strings.Contains(stderr.String(), "nothing was written") {
				t.Errorf("it said %q", stderr.String())
			}
		})
	}
}
