package supervisor

import (
	"syscall"
)

// A guard is for a kernel that has a parent-death signal to forget.

func gains(string, *syscall.Credential) bool { return false }

func startGuarded(*Spec, string, *syscall.ProcAttr, func(string, []string) (int, error)) (int, func(), error) {
	panic("supervisor: no guard on this system")
}
