package config

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
	"github.com/svidhelper/svidhelper/supervisor"
)

// Flags is what the command line says beside the file. It takes precedence.
type Flags struct {
	// AgentAddress is the Workload API's address.
	AgentAddress string
	// Dir takes the place of the directory of the file's only output. If the
	// file has none, it is an output with one X.509-SVID under default names.
	Dir string
	// OnRotation is what the process hears of a rotation: a signal, "restart"
	// or "none".
	OnRotation string
	// Command is the process's command.
	Command []string
	// DaemonMode, unless nil, stands for daemon_mode.
	DaemonMode *bool
	// Fetch says that everything is to be written once, whatever daemon_mode
	// is: what is only of use to a daemon is left out without a word.
	Fetch bool

	// open reads the file of a template; nil: templates are not looked at.
	open func(path string) ([]byte, error)
}

// Parse returns the configuration that src is, or nil if there are errors. It reads no
// other file: the templates that src names are not in it.
func Parse(filename string, src []byte) (*Config, Diagnostics) {
	c, _, ds := Flags{}.read(filename, src, runtime.GOOS)
	return c, ds
}

// Check reads and parses the file, and says which dialect it has.
func Check(path string) (*Config, Dialect, Diagnostics) {
	src, ds := contents(path)
	if ds != nil {
		return nil, Unread, ds
	}
	return Flags{open: openTemplate}.read(path, src, runtime.GOOS)
}

// A Loader loads a file again and again, with the same flags. One that says the
// same as the last time is not parsed again: a parser leaves a heap that a helper
// would keep. It is not safe for concurrent use.
type Loader struct {
	path string
	sum  [sha256.Size]byte // of what last is made of, templates included
	last *Config           // nil: none, or not valid
}

// Load reads and parses the file, if its path is not empty, and applies the flags.
// It returns nil if there are errors. If nothing has changed it returns the same
// configuration, and no diagnostics.
func (l *Loader) Load(f Flags, path string) (c *Config, ds Diagnostics) {
	if path == "" {
		c, _, ds = f.read(commandLine, nil, runtime.GOOS)
		return c, ds
	}
	src, ds := contents(path)
	if ds != nil {
		return nil, ds
	}
	if l.last != nil && l.path == path && l.sum == sumOf(src, l.last, onDisk) {
		return l.last, nil
	}
	f.open = openTemplate
	if l.last, _, ds = f.read(path, src, runtime.GOOS); l.last != nil {
		l.path, l.sum = path, sumOf(src, l.last, asRead)
	}
	return l.last, ds
}

// contents is what a file says, or why it cannot be read.
func contents(path string) ([]byte, Diagnostics) {
	var src []byte
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		src, err = io.ReadAll(io.LimitReader(file, maxSize+1))
	}
	if err != nil {
		if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
			err = cause.Err
		}
		return nil, Diagnostics{{File: path, Message: fmt.Sprintf("cannot read the configuration: %v", err)}}
	}
	return src, nil
}

// read returns the configuration that src is with the flags applied, or nil if
// there are errors, and its dialect.
func (f Flags) read(filename string, src []byte, goos string) (*Config, Dialect, Diagnostics) {
	src = bytes.TrimPrefix(src, []byte("\ufeff")) // editors on Windows begin a file with it
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	r := &reporter{file: filename, src: src}
	if len(src) > maxSize {
		r.errorf(noSpan, "is it the right one?", "the file is larger than %d bytes", maxSize)
		return nil, Unread, r.diagnostics()
	}
	c := &Config{written: map[string]string{}}
	d := &decoder{open: f.open, reporter: r, goos: goos, taken: map[string]span{}, proofs: map[*proof.Config]places{}, written: c.written}
	flat := &dropIn{logLevel: &c.Log.Level}
	root, dialect := parseTree(src, r)
	table := rootTable(c, flat)
	table.check = func(d *decoder, at places) {
		flat.badArgs.report(d, true)
		flat.badRenew.report(d, true)
	}
	if !r.failed { // the rules across keys need all of them
		table.check = func(d *decoder, at places) {
			if f.DaemonMode != nil {
				c.OneShot = !*f.DaemonMode
			}
			c.OneShot = c.OneShot || f.Fetch
			if c.OneShot && !f.Fetch {
				flat.warnOneShot(d, c, at)
			}
			flat.translate(d, c, at, f)
			f.finish(d, c, at)
		}
	}
	d.read(root, noSpan, table)
	if r.failed {
		c = nil
	}
	return c, dialect, r.diagnostics()
}

// finish applies the flags, then the rules that need the whole configuration,
// then the defaults that depend on it.
func (f Flags) finish(d *decoder, c *Config, at places) {
	if c.OneShot {
		c.Process, c.Hooks = nil, nil
	}
	f.apply(d, c, at)
	if len(c.Outputs) == 0 && !at.odd {
		hint := `write output "/run/tls" { … } with x509_svid { } on a line of its own, or give -dir`
		if slices.ContainsFunc(flatOutputKeys, at.has) {
			hint = "write " + enumerate(flatFileKeys, "or")
		}
		d.errorf(noSpan, hint, "there is nothing to write: no output is configured")
	}
	if c.Process != nil && d.idle && len(f.Command) == 0 {
		d.errorf(at.of("process"), `write command = ["program", "argument"], or give the command after -- on the command line`, "the process has no command")
	}
	f.needRotation(d, c, at)
	setTargets(d, c, at)
}

// needRotation refuses a process for which neither the file nor the command line
// has chosen what it is told of a rotation.
func (f Flags) needRotation(d *decoder, c *Config, at places) {
	switch {
	case c.Process == nil || c.OneShot || f.OnRotation != "":
	case d.untold:
		d.errorf(at.of("process"), "write on_rotation = "+rotationChoices, "the process needs on_rotation, which has no default")
	case !at.has("process") && c.Process.OnRotation == (supervisor.Rotation{}):
		d.flagErrorf("give -on-rotation "+rotationChoices, "the process needs -on-rotation, which has no default")
	}
}

// apply lets the flags override the file.
func (f Flags) apply(d *decoder, c *Config, at places) {
	if f.AgentAddress != "" {
		address, err := source.ParseAddress(f.AgentAddress, d.goos)
		if err != nil {
			d.flagErrorf("", "-agent-address: %v", err)
		}
		c.AgentAddress = address.String()
	}
	switch {
	case f.Dir == "":
	case len(c.Outputs) == 1:
		c.Outputs[0].Dir = f.Dir
	case len(c.Outputs) > 1:
		d.flagErrorf("leave out -dir, or name one output in the file", "-dir: the file has %d outputs", len(c.Outputs))
	}
	if len(f.Command) > 0 {
		if c.Process == nil {
			c.Process = &Process{}
		}
		c.Process.Command = slices.Clone(f.Command)
	}
	if f.OnRotation == "" {
		return
	}
	if c.Process == nil {
		if !c.OneShot {
			d.flagErrorf("give a command after --", "-on-rotation: there is no process")
		}
		return
	}
	rot, hint, err := parseRotation(d, f.OnRotation)
	if err == nil && d.goos == "windows" && rot.Signal != 0 {
		err = errors.New("there are no signals on Windows")
	}
	if err != nil {
		d.flagErrorf(hint, "-on-rotation: %v", err)
	}
	c.Process.OnRotation = rot
}

// configuredKinds are the kinds of material that the outputs hold.
func configuredKinds(outputs []encode.Output) (kinds snapshot.Kind) {
	for i := range outputs {
		kinds |= outputs[i].Kinds()
	}
	if kinds.Has(snapshot.KindX509) {
		kinds |= snapshot.KindBundle // an X.509-SVID comes with its bundle
	}
	return kinds
}

const (
	defaultKinds = snapshot.KindX509 | snapshot.KindBundle
	everyKind    = defaultKinds | snapshot.KindJWT | snapshot.KindWIT
)

// setTargets fills in what process and hooks want to hear of, and refuses what
// they would never hear of.
func setTargets(d *decoder, c *Config, at places) {
	have := configuredKinds(c.Outputs)
	set := func(t *Target, key string) {
		switch {
		case t.On == snapshot.KindNone && have.Has(defaultKinds):
			t.On = defaultKinds
		case t.On == snapshot.KindNone:
			t.On = everyKind
		case have != snapshot.KindNone && !have.Has(t.On):
			d.errorf(at.of(key), "the outputs hold "+enumerate(have.Names(), "and"), "%s: nothing ever happens on %v", key, t.On)
		}
		d.checkProven(t, c.Outputs)
	}
	if c.Process != nil {
		set(&c.Process.Target, "process")
	}
	for i := range c.Hooks {
		set(&c.Hooks[i].Target, "hook")
	}
}
