package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAStrangerIsNotHeard: a process of another user that is no descendant cannot
// say that the process is ready.
func TestAStrangerIsNotHeard(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	socat, err := exec.LookPath("socat")
	if err != nil {
		t.Skip("socat is not here")
	}
	systemd := listen(t, filepath.Join(t.TempDir(), "notify"))
	m, _, _ := run(t, &stand{report: Report{Published: true, Started: true, Relays: true, Text: "web"}})
	_, address, _ := strings.Cut(m.Environ()[0], "=")
	// send has nobody's process send a message, which may outlive its parent first.
	send := func(message, script string) {
		t.Helper()
		ended, ending := pipe(t)
		wait, begin := pipe(t)
		cmd := exec.Command("sh", "-c", script, socat, strings.TrimPrefix(address, "@"), message)
		cmd.ExtraFiles = []*os.File{ending, wait}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		ending.Close()
		begin.Close()
		_, _ = ended.Read(make([]byte, 1)) // until all that could send have ended
	}
	const say = `printf "$2" | "$0" -u - ABSTRACT-SENDTO:"$1"`
	send("READY=1", `(read begin <&4; `+say+`) & exit 0`)
	send("STATUS=a descendant", say)
	early, _ := systemd.next("STATUS=web; the process says: a descendant")
	systemd.quiet(early, "READY=1")
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
