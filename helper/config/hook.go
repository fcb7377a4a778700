package config

import (
	"slices"

	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

func hookTable(h *Hook) *block {
	return &block{name: "hook", label: &h.Name, labelWant: "a name", labelExample: "name", fields: []field{
		{key: "preset", doc: "a service whose defaults are meant", value: presetKey()},
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
		d.errorf(at.block, d.leaveOut(at, "command", "pid_file", "process_name"), "hook %q needs exactly one of command, pid_file and process_name", h.Name)
		return
	}
	for _, needs := range []struct {
		key, other string
		met        bool
	}{
		{"timeout", "a command", at.has("command")}, {"retries", "a command", at.has("command")},
		{"owner", "process_name", at.has("process_name")}, {"signal", "pid_file or process_name", !at.has("command")},
	} {
		if at.has(needs.key) && !needs.met {
			d.errorf(at.of(needs.key), "", "%s is for a hook with %s", needs.key, needs.other)
		}
	}
	d.only(at, []string{"pid_file", "process_name"}, d.goos != "windows", "Windows has no signals; use a command")
	if h.Proof != nil && slices.Contains(h.Proof.OnFailure, proof.EscalateRestart) {
		d.errorf(at.of("proof"), `only process can be restarted; write on_failure = ["signal"]`, "hook %q cannot restart anything", h.Name)
	}
}

// kinds is a set of kinds of material that is printed unless it is usual.
func kinds(dst *snapshot.Kind, usual snapshot.Kind) scalar {
	var names []word[snapshot.Kind]
	for _, k := range []snapshot.Kind{snapshot.KindX509, snapshot.KindBundle, snapshot.KindJWT, snapshot.KindWIT} {
		names = append(names, word[snapshot.Kind]{k.String(), k})
	}
	var given []snapshot.Kind
	list := listOf(&given, func(d *decoder, n *node) (snapshot.Kind, bool) { return oneOf(d, n, names) }, nil)
	return scalar{
		take: func(d *decoder, n *node) {
			list.take(d, n)
			for _, k := range given {
				*dst |= k
			}
		},
		literal: func() string {
			if *dst == usual {
				return ""
			}
			return literalList(dst.Names(), quote)
		},
		form: list.form,
	}
}
