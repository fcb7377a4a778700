package publish

import (
	"context"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// Tokens come in answers of their own, and a publish makes a link for each file
// that does not change. A thousand tokens would cost a million links, were each
// published by itself. So the publisher waits nextToken for another one, and
// allTokens for all of them.
const (
	nextToken = 10 * time.Millisecond
	allTokens = 100 * time.Millisecond
)

// gather waits while updates follow each other, until one is urgent.
func gather(ctx context.Context, updates <-chan struct{}, urgent func() bool) {
	if urgent() {
		return
	}
	all, next := time.NewTimer(allTokens), time.NewTimer(nextToken)
	defer all.Stop()
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-all.C:
			return
		case <-next.C:
			return
		case <-updates:
			if urgent() {
				return
			}
			next.Reset(nextToken)
		}
	}
}

// urgent reports whether there is more to publish than tokens, or the answer that
// was still missing has come.
func urgent(before, now *source.Status) bool {
	return !sameButTokens(before.Snapshot, now.Snapshot) ||
		len(now.Awaited()) == 0 && len(before.Awaited()) > 0
}

// sameButTokens reports whether two snapshots differ in tokens at most.
func sameButTokens(a, b *snapshot.Snapshot) bool {
	var none snapshot.Snapshot
	if a == nil {
		a = &none
	}
	if b == nil {
		b = &none
	}
	return a.X509 == b.X509 && a.X509Bundles == b.X509Bundles && a.JWTBundles == b.JWTBundles &&
		a.WIT == b.WIT && a.WITBundles == b.WITBundles
}
