//go:build unix

package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The real binary, in front of a real Workload API: what the tests of the
// contracts run wherever a helper is a process of its own.

// A product is the binary, built once, and a development Workload API that it
// serves from a process of its own.
type product struct {
	dir, binary, socket string
	api                 *exec.Cmd
}

var (
	theProduct = sync.OnceValues(newProduct)
	built      *product // what newProduct made, or began to
)

func newProduct() (p *product, err error) {
	p = &product{}
	built = p
	if p.dir, err = os.MkdirTemp("", "supervisor"); err != nil {
		return p, err
	}
	if err := os.Chmod(p.dir, 0o755); err != nil {
		return p, err
	}
	// go test caches a result until a file changes that the test has looked at.
	// Others come and go meanwhile, in .git above all.
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return filepath.SkipDir
		}
		if err == nil && filepath.Ext(path) == ".go" {
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return p, err
	}
	p.binary = filepath.Join(p.dir, "svidhelper")
	p.socket = filepath.Join(p.dir, "api.sock")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", p.binary, "github.com/svidhelper/svidhelper/cmd/svidhelper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return p, fmt.Errorf("build svidhelper: %w\n%s", err, out)
	}
	api := exec.Command(p.binary, "dev", "-socket", p.socket)
	api.SysProcAttr = &syscall.SysProcAttr{}
	setDeathSignal(api.SysProcAttr, syscall.SIGKILL)
	out, err := api.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := child.Start(api); err != nil {
		return p, err
	}
	p.api = api
	if !bufio.NewScanner(out).Scan() { // it says where it serves
		return p, errors.New("the development Workload API does not serve")
	}
	return p, nil
}

// removeProduct puts away what newProduct made.
func removeProduct() {
	p := built
	if p == nil {
		return // no test has used it
	}
	if p.api != nil {
		_ = p.api.Process.Kill()
		_ = child.Wait(p.api)
	}
	os.RemoveAll(p.dir)
}

// useProduct returns the product.
func useProduct(t *testing.T) *product {
	t.Helper()
	p, err := theProduct()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// rotateAll publishes in every helper that has an X.509-SVID.
func rotateAll(t *testing.T) {
	t.Helper()
	if err := useProduct(t).api.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

// configFile returns a configuration for spec, whose command goes on the command
// line. Its output is a bundle, or an X.509-SVID that rotateAll rotates.
func configFile(t *testing.T, spec Spec, rotates bool) string {
	t.Helper()
	process := map[string]any{}
	spec = chosen(spec)
	set := func(key string, is bool, value any) {
		if is {
			process[key] = value
		}
	}
	set("dir", spec.Dir != "", spec.Dir)
	set("user", spec.User != "", spec.User)
	set("group", spec.Group != "", spec.Group)
	set("pass_fds", spec.PassFDs != nil, spec.PassFDs)
	set("no_new_privs", spec.NoNewPrivs, true)
	set("subreaper", spec.Subreaper, true)
	set("signal_group", spec.SignalGroup, true)
	set("restart", spec.Restart != "", spec.Restart)
	set("stop_timeout", spec.StopTimeout != 0, spec.StopTimeout.String())
	set("stop_signal", spec.StopSignal != 0, signals.Name(spec.StopSignal))
	set("on_rotation", spec.OnRotation.Signal != 0, signals.Name(spec.OnRotation.Signal))
	env := map[string]string{}
	for _, kv := range spec.Env {
		name, value, _ := strings.Cut(kv, "=")
		env[name] = value
	}
	set("env", len(env) > 0, env)
	rewrite := map[string]string{}
	for from, to := range spec.SignalRewrite {
		rewrite[signals.Name(from)] = "none"
		if to != 0 {
			rewrite[signals.Name(from)] = signals.Name(to)
		}
	}
	set("signal_rewrite", len(rewrite) > 0, rewrite)

	files := map[string]any{"x509_bundle": map[string]string{"file": "ca.pem"}}
	if rotates {
		files = map[string]any{"x509_svid": map[string]string{}}
	}
	dir := t.TempDir()
	content, err := json.Marshal(map[string]any{
		"agent_address": "unix://" + useProduct(t).socket,
		"output":        map[string]any{filepath.Join(dir, "out"): files},
		"process":       process,
	})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "helper.conf")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// helperCommand returns a helper that runs spec, in a session without a
// terminal.
func helperCommand(t *testing.T, spec Spec) *exec.Cmd {
	t.Helper()
	return helperWith(t, configFile(t, spec, false), spec.Command)
}

// rotatingHelper returns one that rotateAll rotates.
func rotatingHelper(t *testing.T, spec Spec) *exec.Cmd {
	t.Helper()
	return helperWith(t, configFile(t, spec, true), spec.Command)
}

func helperWith(t *testing.T, config string, command []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(useProduct(t).binary, append([]string{"run", "-config", config, "--"}, command...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// wrapped returns cmd behind a shell script that execs "$@".
func wrapped(script string, cmd *exec.Cmd) *exec.Cmd {
	shell := exec.Command("sh", append([]string{"-c", script, "sh"}, cmd.Args...)...)
	shell.Env, shell.SysProcAttr, shell.ExtraFiles = cmd.Env, cmd.SysProcAttr, cmd.ExtraFiles
	return shell
}
