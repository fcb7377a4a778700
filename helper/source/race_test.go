//go:build race

package source

// The race detector makes everything about ten times slower, and as much larger.
const burden = 10
