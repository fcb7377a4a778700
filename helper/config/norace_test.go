//go:build !race

package config

const (
	slack = 1
	share = 1
	seeds = 200
)
