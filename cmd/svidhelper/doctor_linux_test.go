package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// TestDoctorBesideADaemon: what the running helper has taken is no problem, and its
// process is seen.
func TestDoctorBesideADaemon(t *testing.T) {
	t.Parallel()
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	daemon := newFetch(t, api.Addr())
	daemon.useDir(filepath.Join(memoryDir(t), "certs"))
	more := fmt.Sprintf("process {\n command = [\"sleep\", \"1000\"]\n on_rotation = \"SIGTERM\"\n}\nhealth { address = \"127.0.0.1:%d\" }\n", freePort(t))
	text, err := os.ReadFile(daemon.file)
	if err == nil {
		err = os.WriteFile(daemon.file, append(text, more...), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	daemon.Args[1] = "run"
	daemon.start()
	daemon.says.await(t, "process started")

	doctor := newFetch(t, api.Addr())
	doctor.Args = []string{"svidhelper", "doctor", "-config", daemon.file}
	doctor.start()
	code, last := doctor.end()
	if code != exitOK || last != "0 problems, 0 warnings" {
		t.Errorf("exit status %d after %q", code, last)
	}
	for _, words := range []string{`"sleep": it runs as pid `, "a running svidhelper answers there"} {
		if doctor.says.count(words) != 1 {
			t.Errorf("it does not say %q", words)
		}
	}
	if daemon.says.count("process ended") > 0 {
		t.Error("the process was disturbed")
	}
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	daemon.end()
}

// TestDoctorWithoutARightToTheSocket: the user that runs it is the one that is told
// of.
func TestDoctorWithoutARightToTheSocket(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const nobody = 65534
	program := sharedProgram(t)
	api, _ := devapitest.Start(t, devapi.Config{ManualRotation: true})
	socket := strings.TrimPrefix(api.Addr(), "unix://")
	if err := os.Chmod(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	doctor := newFetch(t, api.Addr())
	doctor.Path, doctor.Args, doctor.Dir = program, []string{program, "doctor"}, "/"
	doctor.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	doctor.start()
	if code, _ := doctor.end(); code != exitFailure {
		t.Errorf("exit status %d", code)
	}
	if doctor.says.count("permission denied on "+socket+" for uid 65534, its mode is Srw-------: check the rights") != 1 {
		t.Error("it does not say why")
	}
}
