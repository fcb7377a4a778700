//go:build !race

package source

const burden = 1
