package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSystemd boots systemd in namespaces of its own, installs the package there, and
// has its units do what examples/systemd says: systemd/check.sh.
func TestSystemd(t *testing.T) {
	needRoot(t, "to boot takes root's rights")
	for _, program := range []string{"unshare", "setpriv", "busybox", "systemctl", "dbus-daemon", "pkaction", "haproxy", "nginx", "openssl"} {
		need(t, program)
	}
	readme := string(read(t, "../../examples/systemd/README.md"))
	block := func(pattern string) string {
		m := regexp.MustCompile("(?ms)" + pattern).FindStringSubmatch(readme)
		if m == nil {
			t.Fatalf("the README has no %s", pattern)
		}
		return m[1]
	}
	group := newControlGroup(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", `echo $$ >"$GROUP/cgroup.procs" && exec unshare --mount --pid --fork --kill-child --mount-proc --uts --ipc --net --cgroup bash systemd/boot.sh`)
	cmd.Env = append(os.Environ(), "GROUP="+group, "COMMANDS="+block("^```sh\n(.*?)^```"), "HOOK="+block("(?s)```hcl\n(.*?)^```"), "RULE="+block(`^ +(polkit\.addRule.*?^ +}\);)`),
		"DEB="+strings.TrimSuffix(releaseOf(t).dist, "/")+"/svidhelper_1.2.3_amd64.deb")
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// newControlGroup returns the directory of a control group for a systemd, in the
// second version's hierarchy, where nothing of the machine's own is.
func newControlGroup(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	run(t, "mount", "-t", "cgroup2", "none", top)
	t.Cleanup(func() { run(t, "umount", top) })
	group, err := os.MkdirTemp(top, "svidhelper-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // from the leaves up, once the kernel has taken the last process out
		await(t, "the end of the control group", func() bool {
			all, _ := exec.Command("find", group, "-depth", "-type", "d").Output()
			for dir := range strings.Lines(string(all)) {
				_ = os.Remove(strings.TrimSpace(dir))
			}
			_, err := os.Stat(group)
			return os.IsNotExist(err)
		})
	})
	return group
}
