package signals

import (
	"syscall"
)

// Masks would tell what a process does with signals; macOS does not say.
type Masks struct{}

func OpenMasks(int) *Masks { return &Masks{} }

func (*Masks) Close()                           {}
func (*Masks) Handling(syscall.Signal) Handling { return HandlingUnseen }
