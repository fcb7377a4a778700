package source

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

// A directory may be entered by more than may read it, which a watch takes.
// After an outage it took as long as the backoff had grown.
func TestConnectedPromptlyInADirectoryThatCannotBeRead(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	dir := filepath.Join(filepath.Dir(devapitest.Socket(t)), "public")
	check(t, os.Mkdir(dir, 0o311))
	promptly(t, "appears", func(p *testbed.Pulse) []sample {
		path := filepath.Join(dir, "api.sock")
		api, _ := devapitest.New(t, devapi.Config{})
		took := appears(t, p, "in a directory that cannot be read", path, func() { check(t, api.Start("unix://"+path)) }, time.Second)
		api.Down()
		return []sample{took}
	})
}

// asNobody runs the test once more, as a user with no rights.
func asNobody(t *testing.T) {
	const nobody = 65534
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	dir, err := os.MkdirTemp("", "wl") // t.TempDir's parents are for root
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	check(t, os.Chmod(dir, 0o755))
	binary, err := os.OpenFile(filepath.Join(dir, "test"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(binary, self)
	check(t, err)
	check(t, binary.Close())
	cmd := exec.Command(binary.Name(), "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("as nobody:\n%s", out)
	check(t, err)
}
