//go:build race

package config

// The race detector makes everything about ten times slower: hostile files are
// smaller by share, and may take slack times as long; there are fewer seeds.
const (
	slack = 2
	share = 64
	seeds = 25
)
