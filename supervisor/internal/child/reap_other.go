//go:build !linux

package child

// ReapOrphans does nothing: only under Linux do orphans become the helper's.
func ReapOrphans() (stop func()) { return func() {} }
