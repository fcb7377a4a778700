package config

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"github.com/svidhelper/svidhelper/helper/nearest"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
)

func processTable(p *Process) *block {
	return &block{name: "process", fields: []field{
		{key: "preset", doc: "a service whose defaults are meant", value: presetKey()},
		{key: "command", doc: "its arguments; nothing goes through a shell", value: argv(&p.Command)},
		{key: "on_rotation", doc: `what it hears of new material: a signal, "restart" or "none"`, value: rotation(&p.OnRotation)},
		{key: "on", doc: "the kinds of material it wants to hear of", value: kinds(&p.On, defaultKinds)},
		{key: "start_without", doc: "the kinds of material that its start does not wait for once they are refused", value: kinds(&p.StartWithout, snapshot.KindNone)},
		{key: "start_from_disk", doc: "false: its start waits for the Workload API, although what is on disk would do", value: boolean(&p.NoStartFromDisk, false)},
		{key: "splay", doc: "restarts and reloads are spread over this span", value: duration(&p.Splay)},
		{key: "min_interval", doc: "the least time from one notification to the next", value: duration(&p.MinInterval)},
		{key: "restart", doc: "when it is started again after it has exited; its exit is ours if never", value: constant(&p.Restart, "never",
			supervisor.RestartOnFailure, supervisor.RestartAlways, supervisor.RestartOnRotation)},
		{key: "max_restarts", doc: "this many within restart_window, and we give up with its exit status", value: integer(&p.MaxRestarts, 0, 1_000_000)},
		{key: "restart_window", doc: "the span in which max_restarts counts", value: duration(&p.RestartWindow)},
		{key: "stop_signal", doc: "asks it to end", value: signal(&p.StopSignal)},
		{key: "stop_timeout", doc: "after which SIGKILL follows", value: duration(&p.StopTimeout)},
		{key: "signal_rewrite", doc: `signals that are forwarded as another, or dropped: "none"`, value: signalMap(&p.SignalRewrite)},
		{key: "signal_group", doc: "signals go to its whole process group", value: boolean(&p.SignalGroup, true)},
		{key: "user", doc: "name or number", value: text(&p.User)},
		{key: "group", doc: "name or number", value: text(&p.Group)},
		{key: "env", doc: "added to our own environment", value: environment(&p.Env)},
		{key: "dir", doc: "its working directory", value: text(&p.Dir)},
		{key: "notify", doc: "it tells systemd by itself when it is ready (Type=notify); we wait for that and pass it on (Linux)", value: boolean(&p.Notify, true)},
		{key: "pass_fds", doc: "descriptors above 2 that it inherits", value: descriptors(&p.PassFDs)},
		{key: "no_new_privs", doc: "it can never gain privileges (Linux)", value: boolean(&p.NoNewPrivs, true)},
		{key: "subreaper", doc: "we adopt and reap its orphans (Linux)", value: boolean(&p.Subreaper, true)},
		{key: "proof", doc: "after each rotation, dial it until it serves the new certificate", value: one[proof.Config]{&p.Proof, proofTable}},
	}, check: func(d *decoder, at places) {
		d.idle = at.lacks("command")
		d.untold = at.lacks("on_rotation")
		if at.has("max_restarts") != at.has("restart_window") {
			d.errorf(at.of("max_restarts", "restart_window"), "give both or none", "max_restarts counts within restart_window")
		}
		if at.has("max_restarts") && p.Restart == supervisor.RestartNever {
			d.warnf(at.of("max_restarts"), `write restart = "on-failure" or "always"`, "max_restarts counts nothing: the process is never restarted")
		}
		d.only(at, []string{"no_new_privs", "subreaper", "notify"}, d.goos == "linux", "only on Linux")
		d.only(at, []string{"user", "group", "stop_signal", "signal_rewrite", "signal_group"}, d.goos != "windows", "not on Windows, which has no signals and no such users")
		d.only(at, []string{"on_rotation"}, d.goos != "windows" || p.OnRotation.Signal == 0, `on Windows, write "restart" or "none"`)
	}}
}

func descriptors(dst *[]int) scalar {
	return listOf(dst, distinct(dst, textParser[int](func(_ *decoder, s string) (int, string, error) {
		fd, err := strconv.Atoi(s)
		if err != nil || fd < 3 || fd > 1<<20 {
			return 0, "0, 1 and 2 are always inherited", errors.New("want the number of a descriptor above 2")
		}
		return fd, "", nil
	}).element), strconv.Itoa)
}

func rotation(dst *supervisor.Rotation) scalar { return parsed(dst, parseRotation, printRotation) }

// rotationChoices completes an error about a missing on_rotation.
const rotationChoices = `"SIGHUP" (or another signal at which the program reads its files again), "restart" (it is stopped and started again) or "none" (it notices new files by itself)`

func parseRotation(d *decoder, s string) (r supervisor.Rotation, hint string, err error) {
	switch s {
	case "restart":
		return supervisor.Rotation{Action: supervisor.RotationRestart}, "", nil
	case "none":
		return supervisor.Rotation{Action: supervisor.RotationNone}, "", nil
	}
	r.Signal, hint, err = parseSignal(d, s)
	return r, nearest.Hint(s, []string{"restart", "none"}, hint), err
}

func printRotation(r supervisor.Rotation) string {
	switch r.Action {
	case supervisor.RotationRestart:
		return "restart"
	case supervisor.RotationNone:
		return "none"
	}
	return supervisor.SignalName(r.Signal)
}

func signal(dst *syscall.Signal) scalar {
	return parsed(dst, parseSignal, supervisor.SignalName)
}

func parseSignal(_ *decoder, name string) (syscall.Signal, string, error) {
	sig, err := supervisor.ParseSignal(name)
	if err != nil {
		return 0, signalHint(name), err
	}
	return sig, "", nil
}

// signalHint returns a suggestion for a name that is no signal's.
func signalHint(name string) string {
	full := "SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG")
	return nearest.Hint(full, supervisor.SignalNames(), `write "SIGHUP", "HUP" or 1`)
}
