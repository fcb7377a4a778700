package hook

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// A Go program has a handler for every signal, its runtime's, and does not show
// for which ones it asked. One behind a pid file must be told all the same.
func TestPIDFileOfAGoProgram(t *testing.T) {
	cmd := exec.Command(testBinary(t))
	cmd.Env = append(os.Environ(), childVar+"=hup")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stdout)
	lines.Scan() // "ready"

	h, path := pidHook(t)
	writePID(t, path, strconv.Itoa(cmd.Process.Pid))
	runHook(t, h)
	h.Rotated(Notice{})
	if lines.Scan(); lines.Text() != "SIGHUP" {
		t.Errorf("it heard %q; the hook is %+v", lines.Text(), h.Status())
	}
	await(t, h, "told", told)
}
