package helper

import (
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
)

// A target is somebody who is told of rotations: the process, or a hook.
type target struct {
	name string
	on   snapshot.Kind
	// tell passes a change on. It never blocks.
	tell func(c change, first bool)
}

func processTarget(p *config.Process, s *supervisor.Supervisor) *target {
	return &target{name: "process", on: p.On, tell: func(change, bool) { s.Rotated() }}
}

func hookTarget(spec *config.Hook, h *supervisor.Hook) *target {
	return &target{name: spec.Name, on: spec.On, tell: func(c change, first bool) {
		h.Rotated(c.notice(first))
	}}
}
