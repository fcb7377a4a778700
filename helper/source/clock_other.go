//go:build !linux

package source

import "context"

// watchClock calls stepped when the wall clock was set or the machine was asleep,
// until ctx ends.
func watchClock(ctx context.Context, stepped func()) { compareClocks(ctx, stepped) }
