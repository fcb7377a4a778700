package supervisor

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/svidhelper/svidhelper/supervisor/internal/child"
)

// The contract: the process runs as whom the Spec says, with those rights and
// no more.

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
}

// Users and groups come from databases of the test's own, in a mount namespace
// of the helper's own.
func TestUserAndGroups(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/:/bin/sh\nsvid:x:4711:4712::/:/bin/sh\n")
	write("group", "root:x:0:\nsvid:x:4712:\nkeys:x:4713:svid\nlogs:x:4714:root,svid\nothers:x:4715:root\n")
	for name, c := range map[string]struct {
		spec   Spec
		ids    string // uid, gid, supplementary groups
		status int
	}{
		"a user":                   {Spec{User: "svid"}, "4711 4712 4712 4713 4714", 0},
		"a number that is a user":  {Spec{User: "4711"}, "4711 4712 4712 4713 4714", 0},
		"a user and a group":       {Spec{User: "svid", Group: "keys"}, "4711 4713 4712 4713 4714", 0},
		"a group":                  {Spec{Group: "keys"}, "0 4713", 0},
		"numbers":                  {Spec{User: "1234", Group: "1235"}, "1234 1235", 0},
		"a number without a group": {Spec{User: "1234"}, "set group", 1},
		// to the kernel one is root's, the other means no change
		"a number beyond all": {Spec{User: "4294967296", Group: "1235"}, `user "4294967296" is neither known nor a number`, 1},
		"the last number":     {Spec{User: "4294967295", Group: "1235"}, `user "4294967295" is neither known nor a number`, 1},
		"the last group":      {Spec{Group: "4294967295"}, `group "4294967295" is neither known nor a number`, 1},
		"an unknown user":     {Spec{User: "nobody-knows"}, `user "nobody-knows" is neither known nor a number`, 1},
		"an unknown group":    {Spec{Group: "nobody-knows"}, `group "nobody-knows" is neither known nor a number`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.spec.Command = shell(`echo $(grep -E '^(Uid|Gid):' /proc/self/status | cut -f2) $(grep ^Groups: /proc/self/status | cut -f2)`)
			cmd := wrapped(`mount --make-rprivate / && mount --bind "$DB/passwd" /etc/passwd && mount --bind "$DB/group" /etc/group && exec "$@"`,
				helperCommand(t, c.spec))
			cmd.Env = append(os.Environ(), "DB="+dir)
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
			h := startHelper(t, cmd)
			if c.status == 0 {
				if got := strings.Join(strings.Fields(h.next()), " "); got != c.ids && got != c.ids+" 0" {
					t.Errorf("ids %q, want %q", got, c.ids)
				}
			}
			if got := h.status(); got != c.status {
				t.Errorf("status %d, want %d\n%s", got, c.status, h.log)
			}
			if c.status != 0 && !strings.Contains(h.log.String(), c.ids) {
				t.Errorf("said %q, want %q", h.log, c.ids)
			}
		})
	}
}

func TestOwnUserNeedsNoRights(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, run(t, Spec{Command: shell("exit 3"), User: me.Uid, Group: me.Gid}), 3)
}

func TestNoNewPrivs(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true, false} {
		h := startHelper(t, helperCommand(t, Spec{
			Command:    []string{"grep", "NoNewPrivs", "/proc/self/status"},
			NoNewPrivs: on,
		}))
		want := "NoNewPrivs:\t0"
		if on {
			want = "NoNewPrivs:\t1"
		}
		h.want(want)
		if got := h.status(); got != 0 {
			t.Errorf("status %d", got)
		}
	}
}

// What is taken from the process is not taken from the helper, nor from what
// else it starts.
func TestNoNewPrivsStaysWithTheProcess(t *testing.T) {
	t.Parallel()
	s := supervise(t, Spec{Command: []string{"sleep", "1000"}, NoNewPrivs: true})
	s.Rotated()
	s.running()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			cmd := exec.Command("grep", "NoNewPrivs", "/proc/self/status")
			out := &strings.Builder{}
			cmd.Stdout = out
			if err := child.Start(cmd); err != nil {
				t.Error(err)
				return
			}
			if err := child.Wait(cmd); err != nil || out.String() != "NoNewPrivs:\t0\n" {
				t.Errorf("%v, %q", err, out)
			}
		})
	}
	wg.Wait()
	s.Stop()
	wantStatus(t, s.result(), 143)
}

func TestCheckReadable(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir()
	for _, open := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(open, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string, mode os.FileMode, uid, gid int) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := file("root.key", 0o600, 0, 0)
	groups := file("group.key", 0o640, 0, 4713)
	own := file("own.key", 0o600, 4711, 0)
	hidden := file("hidden/own.key", 0o600, 4711, 0)
	if err := os.Chmod(filepath.Dir(hidden), 0o700); err != nil {
		t.Fatal(err)
	}
	svid := Spec{User: "4711", Group: "4713"}
	for _, c := range []struct {
		spec  Spec
		path  string
		wrong string
	}{
		{Spec{}, roots, ""},
		{Spec{User: "root"}, roots, ""},
		{svid, own, ""},
		{svid, groups, ""},
		{svid, roots, "permission denied"},
		{svid, hidden, "permission denied"},
		{svid, filepath.Join(dir, "missing"), "no such file"},
		{Spec{User: "4711", Group: "4799"}, groups, "permission denied"},
		{Spec{User: "4711", Group: "4713", Command: []string{file("root.sh", 0o700, 0, 0)}}, own, "cannot execute"},
		{Spec{User: "4711", Group: "4713", Dir: filepath.Dir(hidden), Command: []string{"true"}}, own, "cannot execute or enter"},
	} {
		if c.spec.Command == nil {
			c.spec.Command = []string{"true"}
		}
		err := c.spec.CheckReadable([]string{c.path})
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s:%s reads %s: %v, want %q", c.spec.User, c.spec.Group, c.path, err, c.wrong)
		}
		if err != nil {
			t.Log(err)
		}
	}
	// No thread of the helper has kept the user.
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := os.ReadFile(roots); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
