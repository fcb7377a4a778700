//go:build unix

package proof

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// sh is a command whose arguments are $1 and so on.
func sh(script string, args ...string) []string {
	return append([]string{"sh", "-c", script, "sh"}, args...)
}

// TestCommandProves: it is run until it succeeds, and gets to know what was published.
func TestCommandProves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := prover(t, Config{Timeout: patience, Command: sh(`echo x >> "$1/runs"; cat > "$1/event"
test "$SVIDHELPER_SERIAL" = 02 && test "$SVIDHELPER_FILES" = /a,/b && test $(wc -l < "$1/runs") = 3`, dir)})
	want := wanted(issue(t, 2))
	want.Published = time.Now().Add(-time.Minute)
	want.Notice = hook.Notice{
		Env:   []string{"SVIDHELPER_SERIAL=02"},
		Lists: []hook.List{{Name: "SVIDHELPER_FILES", Values: []string{"/a", "/b"}}},
		Event: []byte("{}"),
	}
	r, err := p.Prove(t.Context(), want)
	if err != nil || !r.Proven || r.Serial != "02" || r.Attempts != 3 || r.Latency < time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
	if event, err := os.ReadFile(filepath.Join(dir, "event")); string(event) != "{}\n" {
		t.Errorf("its standard input: %q, %v", event, err)
	}
}

// TestCommandThatFails says why in its last line, which is bounded, and harmless for a
// terminal.
func TestCommandThatFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script, says string
	}{
		"says why": {`echo first; echo "bad \033[2J\033]0;x serial" >&2; echo; exit 3`, `exit status 3, saying "bad \x1b[2J\x1b]0;x serial"`},
		"floods":   {`head -c 3000000 /dev/zero | tr '\0' x; exit 1`, `exit status 1, saying "xxx`},
		"hangs":    {`echo waiting; trap '' TERM; sleep 600 & sleep 600`, `killed after its timeout`},
		"is gone":  {"", "no such file"},
	} {
		command := sh(c.script)
		if c.script == "" {
			command = []string{filepath.Join(t.TempDir(), "none")}
		}
		unhurried(t, 300*time.Millisecond, func(timeout time.Duration) error {
			began := time.Now()
			r, err := prover(t, Config{Command: command, Timeout: timeout}).Prove(t.Context(), wanted(issue(t, 2)))
			failure(t, err)
			switch {
			case r.Proven || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "serial 02 is published and not proven"):
				t.Errorf("%s: %+v, %v", name, r, err)
			case !strings.Contains(err.Error(), c.says):
				return fmt.Errorf("%s: %w", name, err)
			case time.Since(began) > timeout+patience:
				return errors.New(name + ": too late")
			}
			return nil
		})
	}
}

// TestCommandBesideTLS: the command is run once the certificate is the new one, and
// is not asked before.
func TestCommandBesideTLS(t *testing.T) {
	t.Parallel()
	before, after := issue(t, 1), issue(t, 2)
	runs := filepath.Join(t.TempDir(), "runs")
	s := serve(t, "tcp", "127.0.0.1:0", before, nil)
	p := prover(t, Config{TLS: s.address(), Command: sh(`echo x >> "$1"; echo not yet; exit 1`, runs)})
	_, err := p.Look(t.Context(), wanted(after), Result{})
	if e := failure(t, err); e.Err != nil || e.Served != "01" {
		t.Error(err)
	}
	if _, err := os.Stat(runs); err == nil {
		t.Error("it was run while the old certificate was served")
	}
	s.cert.Store(after)
	r, err := p.Look(t.Context(), wanted(after), Result{})
	if e := failure(t, err); !e.Right || r.Attempts != 1 || !strings.Contains(err.Error(), `has served the published serial 02, and is not proven`) || !strings.Contains(err.Error(), `saying "not yet"`) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestCommandStopsAtOnce: the helper's end does not wait for it.
func TestCommandStopsAtOnce(t *testing.T) {
	t.Parallel()
	started := filepath.Join(t.TempDir(), "started")
	p := prover(t, Config{Timeout: time.Hour, Command: sh(`trap '' TERM; echo x > "$1"; sleep 600; sleep 600`, started)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Run(ctx, wanted(issue(t, 1)), nil)
		done <- err
	}()
	testbed.Eventually(t, func() error {
		_, err := os.Stat(started)
		return err
	})
	began := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || time.Since(began) > patience {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
