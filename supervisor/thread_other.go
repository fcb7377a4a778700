//go:build !linux

package supervisor

// onOwnThread calls f. Only Linux has attributes of a thread that matter here.
func onOwnThread(f func()) { f() }
