//go:build linux

package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asComposed runs svidhelper and its health check as compose.yaml has them, before there
// is an nginx that a hook could tell.
const asComposed = `
set -e
mount -t tmpfs none /mnt
mount -t tmpfs none /run
cp "$PROGRAM" /mnt/svidhelper
mkdir -p /mnt/certs
sed 's|"/certs"|"/mnt/certs"|' "$CONF" >/mnt/helper.conf
/mnt/svidhelper dev -socket /run/spire/agent/public/api.sock 2>/mnt/dev.log &
until [ -S /run/spire/agent/public/api.sock ]; do sleep 0.05; done
eval $COMMAND &
until eval $PROBE; do sleep 0.05; done
`

// TestComposeBecomesHealthy: nginx starts when svidhelper is healthy, so svidhelper has to
// be healthy before nginx is there.
func TestComposeBecomesHealthy(t *testing.T) {
	need(t, "unshare")
	needRoot(t, "the namespaces are root's")
	text, err := os.ReadFile("compose/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	conf, err := filepath.Abs("compose/helper.conf")
	if err != nil {
		t.Fatal(err)
	}
	here := func(command string) string {
		return strings.Replace(command, "/etc/svidhelper/helper.conf", "/mnt/helper.conf", 1)
	}
	probe := here(commandOf(t, string(text), `test: (\[.*\])`))
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--net", "--mount-proc", "--kill-child", "bash", "-c", asComposed)
	cmd.Env = append(os.Environ(), "PROGRAM="+svidhelper, "CONF="+conf,
		"COMMAND=/mnt/svidhelper "+here(commandOf(t, string(text), `command: (\["run".*\])`)),
		"PROBE="+strings.TrimPrefix(probe, "'CMD' "))
	p := start(t, cmd)
	select {
	case <-p.done:
	case <-time.After(2 * patience):
		t.Fatal("svidhelper does not become healthy without nginx")
	}
	if state := cmd.ProcessState; !state.Success() || !strings.HasSuffix(p.out.String(), "usable\n") {
		t.Errorf("it ends with %v", state)
	}
}
