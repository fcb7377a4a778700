package config

import (
	"log/slog"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// A Config is what one file says, in the terms of the packages that act on it;
// nothing here remembers which dialect it was written in.
type Config struct {
	// AgentAddress is the Workload API's address, or empty for the
	// environment's or the default.
	AgentAddress string
	// OnRevoked says what becomes of the files of an identity that is refused,
	// RevocationGrace after how long; 0 means 30 s.
	OnRevoked       source.OnRevoked
	RevocationGrace time.Duration

	// OneShot makes run behave as fetch (daemon_mode = false). The file's
	// process and hooks are then left out, and Process is the command on the
	// command line, if there is one.
	OneShot bool
	// Timeout bounds fetch; 0 means 60 s.
	Timeout time.Duration
	// Events is a file to which each event is appended as a line of JSON.
	Events string

	Outputs []encode.Output
	Process *Process // nil: none
	Hooks   []Hook
	Health  *Health // nil: not served
	Log     Log

	// written is how values that came from the environment stand in the file,
	// by key and literal.
	written map[string]string
}

// A Process is the process to run, and which kinds of change concern it.
type Process struct {
	supervisor.Spec
	Target
	// StartWithout are the kinds that its start does not wait for once the
	// Workload API has refused them; it waits for all others however long.
	StartWithout snapshot.Kind
	// NoStartFromDisk has its start wait for the Workload API, although what is
	// on disk is whole, unexpired and what the configuration asks for.
	NoStartFromDisk bool
	// Notify says that it tells systemd by itself when it is ready.
	Notify bool
}

// A Hook is another program to tell, and which kinds of change concern it.
type Hook struct {
	hook.Spec
	Target
}

// A Target is what a process and a hook have in common.
type Target struct {
	// On are the kinds of change that matter to it. The parser has filled it
	// in: x509 and bundle unless set, every kind if nothing else is
	// configured.
	On    snapshot.Kind
	Proof *proof.Config // nil: none
}

// Health says where health is served.
type Health struct {
	// Address to listen on, host:port; an empty host means all interfaces.
	Address string
	// LivePath and ReadyPath are the paths of the two checks; they differ.
	LivePath, ReadyPath string
	// LiveNeedsWrites has both checks answer 503 while a write has failed, as those
	// of spiffe-helper do; an answer that lacks the identity counts as one.
	LiveNeedsWrites bool
}

// The paths of the checks unless the configuration names others.
const (
	DefaultLivePath  = "/live"
	DefaultReadyPath = "/ready"
)

// Log says how much is logged and in which form.
type Log struct {
	Level slog.Level
	JSON  bool
}
