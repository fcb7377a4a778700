package helper

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// awaitReady waits until /ready answers with the status, and returns when it
// first did.
func awaitReady(t *testing.T, address string, want int) time.Time {
	t.Helper()
	eventually(t, func() error {
		status, body, err := get("http://" + address + "/ready")
		if err != nil || status != want {
			return notYet("ready: %d %s %v", status, body, err)
		}
		return nil
	})
	return time.Now()
}

// awaitReadyAgain waits until /ready is true. What has expired meanwhile, on a
// machine that is slow, is issued anew.
func awaitReadyAgain(t *testing.T, api *devapi.Server, address string) time.Time {
	t.Helper()
	eventually(t, func() error {
		if !time.Now().Before(api.SVIDs()[0].Certificates[0].NotAfter) {
			api.Rotate()
		}
		status, body, err := get("http://" + address + "/ready")
		if err != nil || status != http.StatusOK {
			return notYet("ready: %d %s %v", status, body, err)
		}
		return nil
	})
	return time.Now()
}

// TestReadyTellsTheTruth: an SVID that expires in an outage turns ready false
// at once, recovery turns it true within a second; live is about us.
func TestReadyTellsTheTruth(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true, TTL: 2 * time.Second})
	address, certs := freeAddress(t), filepath.Join(memoryDir(t), "certs")
	startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
}
health {
  address = %q
}`, certs, address))
	awaitReadyAgain(t, api, address)
	api.Down()
	followReady(t, address, leafOnDisk(t, certs, "svid.pem").NotAfter)
	if status, body, err := get("http://" + address + "/live"); status != http.StatusOK {
		t.Errorf("live: %d %s %v", status, body, err)
	}
	machine := testbed.StartPulse()
	defer machine.Stop()
	api.Rotate()
	if err := api.Up(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	took := awaitReadyAgain(t, api, address).Sub(back)
	late := machine.Since(back)
	t.Logf("ready turned true %v after the Workload API came back; the machine was late by up to %v", took, late)
	if took-hops*late > time.Second {
		t.Errorf("ready turned true %v after the Workload API came back", took)
	}
}

// TestReadyUnderLoad asks a thousand times a second while everything rotates a
// hundred times a second.
func TestReadyUnderLoad(t *testing.T) {
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	address := freeAddress(t)
	startDaemon(t, api, fmt.Sprintf(`
output %q {
  x509_svid {}
}
health {
  address = %q
}
log {
  level = "warn"
}`, filepath.Join(t.TempDir(), "certs"), address))
	awaitReady(t, address, http.StatusOK)

	const clients, requests, rotations = 8, 250, 200
	begin := time.Now()
	var failed atomic.Int64
	fail := func(format string, args ...any) {
		if failed.Add(1) == 1 {
			t.Errorf(format, args...) // the first tells why
		}
	}
	var load sync.WaitGroup
	load.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range rotations {
			<-tick.C
			api.Rotate()
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range clients {
		load.Go(func() {
			tick := time.NewTicker(clients * time.Millisecond)
			defer tick.Stop()
			for range requests {
				<-tick.C
				resp, err := client.Get("http://" + address + "/ready")
				if err != nil {
					fail("not answered: %v", err)
					continue
				}
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || err != nil {
					fail("not ready: %d %s %v", resp.StatusCode, body, err)
				}
				resp.Body.Close()
			}
		})
	}
	load.Wait()
	t.Logf("%d requests and %d rotations in %v, %d not ready", clients*requests, rotations, time.Since(begin).Round(time.Millisecond), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests were not answered with ready", failed.Load(), clients*requests)
	}
}
