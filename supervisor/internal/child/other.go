//go:build !linux

package child

// What only Linux has.

// ReapOrphans does nothing: orphans do not become the helper's.
func ReapOrphans() (stop func()) { return func() {} }

// Subreap does nothing.
func Subreap() {}

// OnOwnThread calls f: no attributes of a thread matter.
func OnOwnThread(f func()) { f() }

// ProtectMemory does nothing.
func ProtectMemory() error { return nil }

// Reprotect does nothing.
func Reprotect() {}
