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
	// say starts a script of another user, which says a message once begin is
	// closed, and returns what is closed when all of it has ended.
	say := func(message, script string) (cmd *exec.Cmd, begin, ended *os.File) {
		t.Helper()
		ended, ending := pipe(t)
		wait, begin := pipe(t)
		cmd = exec.Command("sh", "-c", script, socat, strings.TrimPrefix(address, "@"), message)
		cmd.ExtraFiles = []*os.File{ending, wait}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ending.Close()
		return cmd, begin, ended
	}
	// One whose parent has ended descends from it no more.
	cmd, begin, ended := say("READY=1", `(read begin <&4; printf "$2" | "$0" -u - ABSTRACT-SENDTO:"$1") & exit 0`)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	begin.Close()
	_, _ = ended.Read(make([]byte, 1))

	cmd, begin, _ = say("STATUS=a descendant", `{ printf "$2"; read end <&4; } | "$0" -u - ABSTRACT-SENDTO:"$1"`)
	early, _ := systemd.next("STATUS=web; the process says: a descendant")
	systemd.quiet(early, "READY=1")
	begin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
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
