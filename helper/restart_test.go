package helper

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// TestAgentRestartsWithTheSameSVID: an agent that has just started denies, or is
// unavailable, until it knows its entries; then it hands out what it did before.
// Nothing is published and nobody is told.
func TestAgentRestartsWithTheSameSVID(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.PermissionDenied, codes.Unavailable} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, memoryDir(t), watchFlips(t))
			await := func(holds func(devapi.Counts) bool) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := p.faults.Wait(ctx, holds); err != nil {
					t.Fatal(err)
				}
			}
			before := snapshotDir(t, p.certs)
			asked := p.faults.Counts().Attempts[devapi.FetchX509SVID]
			p.api.Down()
			p.faults.Fail(code)
			if err := p.api.Up(); err != nil {
				t.Fatal(err)
			}
			await(func(c devapi.Counts) bool { return c.Attempts[devapi.FetchX509SVID] > asked })
			sent := p.faults.Counts().Sent[devapi.FetchX509SVID]
			p.faults.Heal()
			await(func(c devapi.Counts) bool { return c.Sent[devapi.FetchX509SVID] > sent })

			// What comes next tells that nothing came in between.
			p.api.Rotate()
			nextFlip(t, p.flips)
			p.awaitTold(p.told + 1)
			select {
			case at := <-p.flips:
				t.Errorf("another publish at %v", at)
			default:
			}
			if diff := differences(before, snapshotDir(t, p.certs)); len(diff) == 0 {
				t.Error("the rotation is not on disk")
			}
		})
	}
}
