package helper

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// once runs Once over an output with an X.509-SVID and a token.
func once(t *testing.T, ctx context.Context, address, dir string, timeout time.Duration) error {
	t.Helper()
	c, diagnostics := config.Parse("helper.conf", fmt.Appendf(nil, `
output %q {
  x509_svid {}
  jwt_svid {
    audience = ["vault"]
    file     = "vault.jwt"
  }
}`, dir))
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	c.AgentAddress, c.Timeout = address, timeout
	return Once(ctx, c, slog.New(slog.NewTextHandler(newLogBuffer(), nil)))
}

// TestOnce: everything is written, or nothing is and the last line says why.
func TestOnce(t *testing.T) {
	const short = time.Second // enough for an answer
	uid := fmt.Sprintf("uid %d", os.Getuid())
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, api *devapi.Server, f *devapi.Faults)
		timeout time.Duration
		says    []string // of the error; none means success
	}{
		{
			name:    "all there",
			prepare: func(*testing.T, *devapi.Server, *devapi.Faults) {},
			timeout: patience,
		},
		{
			name:    "no socket",
			prepare: func(_ *testing.T, api *devapi.Server, _ *devapi.Faults) { api.Down() },
			timeout: short,
			says:    []string{"no socket at", "api.sock", "start the agent"},
		},
		{
			name:    "no identity",
			prepare: func(_ *testing.T, _ *devapi.Server, f *devapi.Faults) { f.Deny() },
			timeout: short,
			says:    []string{"no identity issued for " + uid, "registration entry"},
		},
		{
			name:    "the token is denied",
			prepare: func(_ *testing.T, _ *devapi.Server, f *devapi.Faults) { f.Deny(devapi.FetchJWTSVID) },
			timeout: short,
			says:    []string{"jwt_svid for vault", "no identity issued"},
		},
		{
			name:    "no answer",
			prepare: func(_ *testing.T, _ *devapi.Server, f *devapi.Faults) { f.Hang() },
			timeout: short,
			says:    []string{"not everything came within", "has not answered"},
		},
		{
			name:    "unavailable",
			prepare: func(_ *testing.T, _ *devapi.Server, f *devapi.Faults) { f.Fail(codes.Unavailable) },
			timeout: short,
			says:    []string{"Unavailable"},
		},
		{
			name:    "the request is invalid",
			prepare: func(_ *testing.T, _ *devapi.Server, f *devapi.Faults) { f.Fail(codes.InvalidArgument) },
			timeout: patience,
			says:    []string{"calls the request invalid"},
		},
		{
			name: "late",
			prepare: func(t *testing.T, api *devapi.Server, f *devapi.Faults) {
				f.Deny()
				go func() {
					if f.WaitAttempts(t.Context(), devapi.FetchX509SVID, 2) == nil {
						f.Heal()
					}
				}()
			},
			timeout: patience,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
			address := api.Addr()
			c.prepare(t, api, faults)
			dir := filepath.Join(t.TempDir(), "certs")
			err := once(t, t.Context(), address, dir, c.timeout)
			for longer := 3 * c.timeout; tooSoon(err, c.says) && longer < patience; longer *= 3 {
				t.Logf("the machine needs longer: %v", err)
				err = once(t, t.Context(), address, dir, longer)
			}
			if len(c.says) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"svid.pem", "svid_key.pem", "svid_bundle.pem", "vault.jwt"} {
					if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
						t.Errorf("%s: %v", name, err)
					}
				}
				return
			}
			if err == nil {
				t.Fatal("no error")
			}
			if !saysAll(err, c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if _, err := os.Lstat(dir); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

// tooSoon reports whether the time was over before there was anything to say.
func tooSoon(err error, want []string) bool {
	return err != nil && !saysAll(err, want) &&
		(saysAll(err, []string{"not contacted yet"}) || saysAll(err, []string{"connecting takes long"}) || saysAll(err, []string{"has not answered"}))
}

func saysAll(err error, words []string) bool { return holdsAll(err.Error(), words) }

// TestOnceNeedsEverything: what cmd of a spiffe-helper file can start without,
// its one-shot cannot do without, and does not wait for when it cannot come.
func TestOnceNeedsEverything(t *testing.T) {
	t.Parallel()
	api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
	faults.Fail(codes.Unimplemented, devapi.FetchJWTSVID)
	c, diagnostics := config.Parse("helper.conf", fmt.Appendf(nil, `
cert_dir = %q
cmd = "true"
daemon_mode = false
svid_file_name = "svid.pem"
svid_key_file_name = "key.pem"
svid_bundle_file_name = "bundle.pem"
jwt_svids = [{jwt_audience = "a", jwt_svid_file_name = "a.jwt"}]
`, t.TempDir()))
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	c.AgentAddress, c.Timeout = api.Addr(), time.Hour
	err := Once(t.Context(), c, slog.New(slog.NewTextHandler(newLogBuffer(), nil)))
	if err == nil || !strings.Contains(err.Error(), "does not support it") {
		t.Errorf("Once returned %v", err)
	}
}

// TestOnceSocketComesLate: the socket's directory, then the socket.
func TestOnceSocketComesLate(t *testing.T) {
	api, _ := devapitest.New(t, devapi.Config{ManualRotation: true})
	socket := filepath.Join(filepath.Dir(devapitest.Socket(t)), "late", "api.sock")
	done := make(chan error, 1)
	go func() {
		done <- once(t, t.Context(), "unix://"+socket, filepath.Join(t.TempDir(), "certs"), patience)
	}()
	if err := api.Start("unix://" + socket); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestOnceIsStopped: a signal, which ends the context, is not waited for.
func TestOnceIsStopped(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(*devapi.Faults)
	}{
		{"denied", func(f *devapi.Faults) { f.Deny() }},
		{"hanging", func(f *devapi.Faults) { f.Hang() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			machine := testbed.StartPulse()
			defer machine.Stop()
			type end struct{ Took, Late time.Duration }
			var ends []end
			for range 5 { // the median: a busy machine spoils one measurement, not all
				api, faults := devapitest.Start(t, devapi.Config{ManualRotation: true})
				c.fault(faults)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- once(t, ctx, api.Addr(), filepath.Join(t.TempDir(), "certs"), time.Hour) }()
				if err := faults.WaitAttempts(t.Context(), devapi.FetchX509SVID, 1); err != nil {
					t.Error(err)
				}
				begin := time.Now()
				cancel()
				err := <-done
				ends = append(ends, end{time.Since(begin), machine.Since(begin)})
				if err == nil || !strings.Contains(err.Error(), "nothing was written") {
					t.Errorf("Once returned %v", err)
				}
			}
			t.Logf("how long it took to stop, and how late the machine was: %v", ends)
			if own := percentile(ends, 50, func(e end) time.Duration { return e.Took - hops*e.Late }); own > 100*time.Millisecond {
				t.Errorf("the median of %v is more than 100 ms", ends)
			}
		})
	}
}
