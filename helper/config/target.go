package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"syscall"

	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor"
)

func processTable(p *Process) *block {
	return &block{name: "process", fields: []field{
		{key: "command", doc: "its arguments; nothing goes through a shell", value: argv(&p.Command)},
		{key: "on_rotation", doc: `what it hears of new material: a signal, "restart" or "none"`, value: rotation(&p.OnRotation)},
		{key: "on", doc: "the kinds of material it wants to hear of", value: kinds(&p.On, defaultKinds)},
		{key: "start_without", doc: "the kinds of material that its start does not wait for once they are refused", value: kinds(&p.StartWithout, snapshot.KindNone)},
		{key: "start_from_disk", doc: "false: its start waits for the Workload API, although what is on disk would do", value: boolean(&p.NoStartFromDisk, false)},
		{key: "splay", doc: "restarts and reloads are spread over this span", value: duration(&p.Splay)},
		{key: "min_interval", doc: "the least time from one notification to the next", value: duration(&p.MinInterval)},
		{key: "restart", doc: "when it is started again after it has exited; its exit is ours if never", value: choice(&p.Restart,
			word[supervisor.RestartPolicy]{"never", supervisor.RestartNever}, word[supervisor.RestartPolicy]{"on-failure", supervisor.RestartOnFailure},
			word[supervisor.RestartPolicy]{"always", supervisor.RestartAlways}, word[supervisor.RestartPolicy]{"on-rotation", supervisor.RestartOnRotation})},
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
		d.only(at, []string{"no_new_privs", "subreaper"}, d.goos == "linux", "only on Linux")
		d.only(at, []string{"user", "group", "stop_signal", "signal_rewrite", "signal_group"}, d.goos != "windows", "not on Windows, which has no signals and no such users")
		d.only(at, []string{"on_rotation"}, d.goos != "windows" || p.OnRotation.Signal == 0, `on Windows, write "restart" or "none"`)
	}}
}

func hookTable(h *Hook) *block {
	return &block{name: "hook", label: &h.Name, labelWant: "a name", labelExample: "name", fields: []field{
		{key: "command", doc: "run once for each rotation; nothing goes through a shell", value: argv(&h.Command)},
		{key: "timeout", doc: "bounds one run of command", value: duration(&h.Timeout)},
		{key: "retries", doc: "how often a failed run is tried again", value: integer(&h.Retries, 0, 1000)},
		{key: "pid_file", doc: "the file with the pid to signal, read anew each time", value: text(&h.PIDFile)},
		{key: "process_name", doc: "the name of the process to signal, in a shared PID namespace", value: text(&h.ProcessName)},
		{key: "owner", doc: "the user whose processes of that name are meant; any user can give a process any name", value: text(&h.Owner)},
		{key: "signal", doc: "what that process gets", value: signal(&h.Signal)},
		{key: "on", doc: "the kinds of material it wants to hear of", value: kinds(&h.On, defaultKinds)},
		{key: "splay", doc: "notifications are spread over this span", value: duration(&h.Splay)},
		{key: "min_interval", doc: "the least time from one notification to the next", value: duration(&h.MinInterval)},
		{key: "proof", doc: "after each rotation, dial until the new certificate is served", value: one[proof.Config]{&h.Proof, proofTable}},
	}, check: h.check}
}

func (h *Hook) check(d *decoder, at places) {
	given := 0
	for _, key := range []string{"command", "pid_file", "process_name"} {
		if at.has(key) {
			given++
		}
	}
	if h.Name == "" {
		d.errorf(at.block, `write hook "name" { … }`, "a hook needs a name")
	}
	d.take("hook", h.Name, at.block)
	if given != 1 && !at.odd {
		d.errorf(at.block, "", "hook %q needs exactly one of command, pid_file and process_name", h.Name)
		return
	}
	for _, key := range []string{"timeout", "retries"} {
		if at.has(key) && !at.has("command") {
			d.errorf(at.of(key), "", "%s is for a hook with a command", key)
		}
	}
	if at.has("owner") && !at.has("process_name") {
		d.errorf(at.of("owner"), "", "owner is for a hook with process_name")
	}
	if at.has("signal") && at.has("command") {
		d.errorf(at.of("signal"), "", "signal is for a hook with pid_file or process_name")
	}
	d.only(at, []string{"pid_file", "process_name"}, d.goos != "windows", "Windows has no signals; use a command")
	if h.Proof != nil && slices.Contains(h.Proof.OnFailure, proof.EscalateRestart) {
		d.errorf(at.of("proof"), `only process can be restarted; write on_failure = ["signal"]`, "hook %q cannot restart anything", h.Name)
	}
}

func proofTable(p *proof.Config) *block {
	return &block{name: "proof", fields: []field{
		{key: "tls", doc: "where it serves its certificate: host:port or unix:///path", value: checked(&p.TLS, checkDial)},
		{key: "starttls", doc: "the protocol to speak before TLS", value: choice(&p.StartTLS,
			word[proof.StartTLS]{"postgres", proof.StartTLSPostgres}, word[proof.StartTLS]{"mysql", proof.StartTLSMySQL},
			word[proof.StartTLS]{"smtp", proof.StartTLSSMTP}, word[proof.StartTLS]{"imap", proof.StartTLSIMAP}, word[proof.StartTLS]{"ldap", proof.StartTLSLDAP})},
		{key: "server_name", doc: "sent as SNI", value: text(&p.ServerName)},
		{key: "timeout", doc: "bounds the wait for the new certificate", value: duration(&p.Timeout)},
		{key: "on_failure", doc: "what to do if it is never served, in order", value: escalations(&p.OnFailure)},
	}, check: func(d *decoder, at places) {
		if at.lacks("tls") {
			d.errorf(at.block, `write tls = "127.0.0.1:8443"`, "proof needs an address to dial")
		}
	}}
}

// checkDial accepts host:port and unix:///path.
func checkDial(s string) (string, error) {
	return `write "127.0.0.1:8443" or "unix:///path"`, proof.CheckAddress(s)
}

// splitHostPort splits an address whose port is a number.
func splitHostPort(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not host:port", s)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	return host, int(n), nil
}

func escalations(dst *[]proof.Escalation) value {
	words := []word[proof.Escalation]{{"signal", proof.EscalateSignal}, {"restart", proof.EscalateRestart}}
	return listOf(dst, func(d *decoder, n *node) (proof.Escalation, bool) { return oneOf(d, n, words) },
		func(e proof.Escalation) string { return quote(string(e)) })
}

// kinds is a set of kinds of material that is printed unless it is usual.
func kinds(dst *snapshot.Kind, usual snapshot.Kind) value {
	var names []word[snapshot.Kind]
	for _, k := range []snapshot.Kind{snapshot.KindX509, snapshot.KindBundle, snapshot.KindJWT, snapshot.KindWIT} {
		names = append(names, word[snapshot.Kind]{k.String(), k})
	}
	var list []snapshot.Kind
	v := listOf(&list, func(d *decoder, n *node) (snapshot.Kind, bool) { return oneOf(d, n, names) }, nil)
	return described{scalar{
		func(d *decoder, n *node) {
			v.(described).take(d, n)
			for _, k := range list {
				*dst |= k
			}
		},
		func() string {
			if *dst == usual {
				return ""
			}
			return literalList(dst.Names(), quote)
		},
	}, v.schema()}
}

func descriptors(dst *[]int) value {
	return listOf(dst, func(d *decoder, n *node) (int, bool) {
		fd, err := strconv.Atoi(n.text)
		if err != nil || fd < 3 || fd > 1<<20 {
			d.complain(n, "0, 1 and 2 are always inherited", "want the number of a descriptor above 2")
			return 0, false
		}
		if slices.Contains(*dst, fd) {
			d.complain(n, "", "descriptor %d is given twice", fd)
			return 0, false
		}
		return fd, true
	}, strconv.Itoa)
}

func signal(dst *syscall.Signal) value {
	return scalar{
		func(d *decoder, n *node) {
			if sig, ok := d.signal(n); ok {
				*dst = sig
			}
		},
		func() string {
			if *dst == 0 {
				return ""
			}
			return quote(printSignal(*dst))
		},
	}
}

func (d *decoder) signal(n *node) (syscall.Signal, bool) {
	s, ok := d.str(n)
	if !ok {
		return 0, false
	}
	sig, err := ParseSignal(s)
	if err != nil {
		d.complain(n, signalHint(s), "%v", err)
	}
	return sig, err == nil
}

func rotation(dst *supervisor.Rotation) value {
	return scalar{
		func(d *decoder, n *node) {
			s, ok := d.str(n)
			if !ok {
				return
			}
			rot, err := parseRotation(s)
			if err != nil {
				d.complain(n, rotationHint(s), "%v", err)
				return
			}
			*dst = rot
		},
		func() string { return literalText(printRotation(*dst)) },
	}
}

// rotationChoices completes an error about a missing on_rotation.
const rotationChoices = `"SIGHUP" (or another signal at which the program reads its files again), "restart" (it is stopped and started again) or "none" (it notices new files by itself)`

func rotationHint(s string) string {
	return didYouMean(Nearest(s, []string{"restart", "none"}), signalHint(s))
}

func parseRotation(s string) (supervisor.Rotation, error) {
	switch s {
	case "restart":
		return supervisor.Rotation{Action: supervisor.RotationRestart}, nil
	case "none":
		return supervisor.Rotation{Action: supervisor.RotationNone}, nil
	}
	sig, err := ParseSignal(s)
	return supervisor.Rotation{Signal: sig}, err
}

func printRotation(r supervisor.Rotation) string {
	switch {
	case r.Action == supervisor.RotationRestart:
		return "restart"
	case r.Action == supervisor.RotationNone:
		return "none"
	case r.Signal != 0:
		return printSignal(r.Signal)
	}
	return ""
}
