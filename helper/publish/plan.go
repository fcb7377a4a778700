package publish

import (
	"time"

	"github.com/svidhelper/svidhelper/helper/ask"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// A Target hears of changes. None of its methods blocks.
type Target interface {
	Name() string
	// On are the kinds of change that it wants to hear of.
	On() snapshot.Kind
	// Tell passes a change on.
	Tell(Change)
}

// A Process is started by the first Tell.
type Process interface {
	Target
	// CheckReadable reports which of the files the process's user cannot read.
	CheckReadable(paths []string) error
	// Notices reports whether it is told of no rotation, but notices new files by
	// itself.
	Notices() bool
}

// A Hook can have been told by an earlier run.
type Hook interface {
	Target
	// Prove has the proof looked for of what is on disk.
	Prove(Change)
}

// A Plan is what a Publisher works with until there is another one.
type Plan struct {
	Source  *source.Source
	Outputs []encode.Output
	// OnRevoked says what becomes of the files of a refused identity, after Grace.
	OnRevoked source.OnRevoked
	Grace     time.Duration

	Process Process // nil: none
	// StartWithout are the kinds that the process's start does not wait for once
	// the Workload API has refused them.
	StartWithout snapshot.Kind
	// WaitForAPI says that what an earlier run left on disk starts nothing.
	WaitForAPI bool
	// Exchange is called before the first Tell of Process: it has the process run
	// in the place of the one of the plan before. Nil if it runs already.
	Exchange func()
	Hooks    []Hook

	// Answer is what is answered on the socket beside each set; nil: there is none.
	Answer func(question string) ask.Answer
}
