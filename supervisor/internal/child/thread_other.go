//go:build !linux

package child

// OnOwnThread calls f. Only Linux has attributes of a thread that matter here.
func OnOwnThread(f func()) { f() }
