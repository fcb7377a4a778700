package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/supervisor"
	"github.com/svidhelper/svidhelper/supervisor/hook"
	"github.com/svidhelper/svidhelper/writer"
)

// process looks at whether the process can be started, can read its keys, and, if
// it runs, handles its signal.
func (r *Report) process(c *config.Config) {
	p := c.Process
	if p == nil {
		return
	}
	name := fmt.Sprintf("%.80q", p.Command[0])
	spec := p.Spec
	spec.Restart = supervisor.RestartNever // a command that may come later is missing now
	if _, err := supervisor.New(spec, slog.New(slog.DiscardHandler)); err != nil {
		r.add(Problem, checkProcess, name, "%v", err)
		return
	}
	before := len(r.Findings)
	if err := readable(spec, c.Outputs); err != nil {
		r.add(Problem, checkProcess, name, "%v", err)
	}
	running := ours(spec)
	for _, s := range running {
		if s.Err != nil {
			r.add(Problem, checkProcess, name, "pid %d: %v", s.PID, s.Err)
		}
	}
	if len(r.Findings) > before {
		return
	}
	text := "can be executed, and does not run"
	if len(running) > 0 {
		text = fmt.Sprintf("it runs as pid %d", running[0].PID)
		if spec.OnRotation.Action == supervisor.RotationSignal {
			text += ", and takes its signal"
		}
	}
	r.add(OK, checkProcess, name, "%s", text)
}

// readable says why the process's user cannot read a key or a token: those that are
// on disk the kernel is asked for, the others are judged by owner, group and mode.
func readable(spec supervisor.Spec, outputs []encode.Output) error {
	var there []string
	for i := range outputs {
		o := &outputs[i]
		for _, f := range o.PrivateFiles() {
			path := filepath.Join(o.Dir, f.Name)
			if _, err := os.Stat(path); err == nil {
				there = append(there, path)
				continue
			}
			uid, gid, err := writer.OwnerOf(o.Spec, f)
			if err != nil {
				return nil // the output is a problem itself
			}
			if can, err := spec.CouldRead(f.Mode, uid, gid); err != nil {
				return err
			} else if !can {
				return fmt.Errorf("its user could not read %s, which will have mode %04o, uid %d and gid %d: set owner, group or mode of the output, or the process's group", path, f.Mode, uid, gid)
			}
		}
	}
	return spec.CheckReadable(there)
}

// ours finds the process if a helper runs it now. It is known by its name, and by
// that of its parent: another process may have the same name.
func ours(spec supervisor.Spec) []hook.Sighting {
	found, err := hook.Look(hook.Spec{Name: checkProcess, ProcessName: filepath.Base(spec.Command[0]), Signal: spec.OnRotation.Signal})
	if err != nil {
		return nil
	}
	helpers := []string{"svidhelper", "spiffe-helper"}
	return slices.DeleteFunc(found, func(s hook.Sighting) bool {
		return !slices.Contains(helpers, s.Parent)
	})
}

// executable looks at whether a command is there.
func (r *Report) executable(check, subject, command string) {
	path, err := exec.LookPath(command)
	if err != nil {
		r.add(Problem, check, subject, "%v: give its full path, or correct its mode", err)
		return
	}
	r.add(OK, check, subject, "%s can be executed", path)
}

// hook looks at whether what a hook tells is there.
func (r *Report) hook(h *config.Hook) {
	if _, err := hook.New(h.Spec, slog.New(slog.DiscardHandler)); err != nil {
		r.add(Problem, checkHook, h.Name, "%v", err)
		return
	}
	if len(h.Command) > 0 {
		r.executable(checkHook, h.Name, h.Command[0])
		return
	}
	found, err := hook.Look(h.Spec)
	switch {
	case err != nil && h.PIDFile != "" && !errors.Is(err, fs.ErrNotExist):
		r.add(Problem, checkHook, h.Name, "%v", err)
	case err != nil:
		r.add(Warning, checkHook, h.Name, "%v: it is told once it is there", err)
	}
	for _, s := range found {
		if s.Err != nil {
			r.add(Problem, checkHook, h.Name, "pid %d: %v", s.PID, s.Err)
		} else {
			r.add(OK, checkHook, h.Name, "pid %d takes its signal", s.PID)
		}
	}
}
