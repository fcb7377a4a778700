//go:build linux

package notify

import (
	"context"
	"crypto/tls"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// TestRepeatThatFailedIsNoTroubleOnceProven: HAProxy executes itself anew at SIGUSR2,
// and ignores the next one meanwhile. A proof asks for one more notification just then,
// which fails, and succeeds by itself: the target has heard of the rotation. What the
// proof has not asked for stays a failure.
func TestRepeatThatFailedIsNoTroubleOnceProven(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	type told interface {
		Tell(publish.Change)
		Run(context.Context) error
		Proof() *ProofStatus
	}
	for _, c := range []struct {
		name    string
		start   func(t *testing.T, p *proof.Config, arrived func(string, uint64)) (_ told, stuck func() string, err error)
		arrives bool
	}{
		{"process", func(t *testing.T, p *proof.Config, arrived func(string, uint64)) (told, func() string, error) {
			script := `trap 'trap "" USR2' USR2; while :; do sleep 0.02; done`
			spec := &config.Process{
				Spec: supervisor.Spec{
					Command:    []string{"sh", "-c", script},
					OnRotation: supervisor.Rotation{Action: supervisor.RotationSignal, Signal: syscall.SIGUSR2},
				},
				Target: config.Target{On: snapshot.KindX509, Proof: p},
			}
			target, err := NewProcess(spec, nil, arrived, events.New("", quiet), quiet)
			return target, func() string { return target.Status().Failure }, err
		}, true},
		{"hook", func(t *testing.T, p *proof.Config, arrived func(string, uint64)) (told, func() string, error) {
			return commandHook(t, p, arrived, `if [ "$(echo x >>"$1"; wc -l <"$1")" -gt 2 ]; then exit 3; fi`)
		}, true},
		{"hook whose first notification failed", func(t *testing.T, p *proof.Config, arrived func(string, uint64)) (told, func() string, error) {
			return commandHook(t, p, arrived, `if [ "$(echo x >>"$1"; wc -l <"$1")" -gt 1 ]; then exit 3; fi`)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
			var serving atomic.Pointer[x509svid.SVID]
			serving.Store(api.SVIDs()[0])
			address := serveTLS(t, func() *tls.Config {
				return &tls.Config{Certificates: []tls.Certificate{*clientCertificate(snapshot.X509SVID{SVID: serving.Load()})}}
			})
			var last atomic.Uint64
			target, stuck, err := c.start(t, &proof.Config{TLS: address, Timeout: 50 * time.Millisecond, OnFailure: []proof.Escalation{proof.EscalateSignal}},
				func(_ string, n uint64) { last.Store(n) })
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = target.Run(ctx) }()
			t.Cleanup(func() { stop(); <-ended })
			rotate := func(n uint64) {
				target.Tell(publish.Change{Number: n, At: time.Now(), Kinds: snapshot.KindX509, OnDisk: []snapshot.X509SVID{{SVID: api.SVIDs()[0]}}})
			}
			await := func(what string, is func() bool) {
				t.Helper()
				testbed.Eventually(t, func() error {
					if !is() {
						return testbed.NotYet("%s: change %d has arrived, stuck %q, %+v", what, last.Load(), stuck(), target.Proof())
					}
					return nil
				})
			}
			rotate(1)
			await("not started", func() bool { return last.Load() == 1 })
			api.Rotate()
			rotate(2)
			await("no failure", func() bool { return stuck() != "" && target.Proof().Failures > 0 })
			serving.Store(api.SVIDs()[0])
			if !c.arrives {
				await("not proven", func() bool { return target.Proof().Proven })
				if stuck() == "" || last.Load() == 2 {
					t.Errorf("change %d has arrived, stuck %q", last.Load(), stuck())
				}
				return
			}
			await("still in trouble", func() bool { return last.Load() == 2 && stuck() == "" })
		})
	}
}

// commandHook is a hook that runs a script, with the name of a file.
func commandHook(t *testing.T, p *proof.Config, arrived func(string, uint64), script string) (*Hook, func() string, error) {
	quiet := slog.New(slog.DiscardHandler)
	spec := &config.Hook{
		Spec:   hook.Spec{Name: "web", Command: []string{"sh", "-c", script, "sh", filepath.Join(t.TempDir(), "runs")}},
		Target: config.Target{On: snapshot.KindX509, Proof: p},
	}
	h, err := NewHook(spec, func(string, uint64) {}, arrived, events.New("", quiet), quiet)
	return h, func() string {
		if err := h.Status().LastError; err != nil {
			return err.Error()
		}
		return ""
	}, err
}
