package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/svidhelper/svidhelper/supervisor/internal/child"
	"golang.org/x/sys/unix"
)

// The contract: the process cannot tell that there is a helper.

func init() {
	childParts["dumpable"] = func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fmt.Println("dumpable", n, err)
		return 0
	}
}

// tell makes a shell say all that it knows of itself. It is no Go program, whose
// runtime would change some of it.
var tell = shell(`
	printf 'argument <%s>\n' "$0" "$@"
	env | sort
	pwd
	umask
	nice
	ulimit -aS
	ulimit -aH
	readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2
	ls /proc/$$/fd
	grep -E '^(Sig(Ign|Blk)|NoNewPrivs|Uid|Gid|Groups|Cap[A-Z][a-z]*|Seccomp|Cpus_allowed):' /proc/self/status
	cat; cat /proc/$$/oom_score_adj`,
	"an argument", "", "*", "$HOME", "\xff not UTF-8", "two\nlines")

func TestProcessSeesNoHelper(t *testing.T) {
	t.Parallel()
	inherited() // what the tests were started with is not what the two are
	dir := t.TempDir()
	for name, wrap := range map[string]string{
		"plain":    `exec "$@"`,
		"adjusted": `umask 027; ulimit -S -n 100 -c 0; exec nice -n 5 "$@"`,
		"nohup":    `trap '' HUP INT; exec "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The two are started alike, on the same files.
			output := func(argv []string) string {
				in, err := os.Create(filepath.Join(dir, name+".in"))
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				fmt.Fprintln(in, "read from stdin")
				if _, err := in.Seek(0, 0); err != nil {
					t.Fatal(err)
				}
				out, err := os.Create(filepath.Join(dir, name+".out"))
				if err != nil {
					t.Fatal(err)
				}
				defer out.Close()
				cmd := exec.Command("sh", append([]string{"-c", wrap, "sh"}, argv...)...)
				cmd.Env = append(os.Environ(), "EMPTY=", "LINES=1\n2", "HIGH=\xff", "LISTEN_PID=1", "LISTEN_FDS=3")
				cmd.Dir = dir
				cmd.Stdin, cmd.Stdout = in, out
				cmd.Stderr, err = os.Create(filepath.Join(dir, name+".err"))
				if err != nil {
					t.Fatal(err)
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				if err := child.Start(cmd); err != nil { // whatever this process ignores by now
					t.Fatal(err)
				}
				if err := child.Wait(cmd); err != nil {
					t.Fatal(err)
				}
				content, err := os.ReadFile(out.Name())
				if err != nil {
					t.Fatal(err)
				}
				return string(content)
			}
			direct := output(tell)
			helped := output(helperCommand(t, Spec{Command: tell}).Args)
			if d := cmp.Diff(strings.Split(direct, "\n"), strings.Split(helped, "\n")); d != "" {
				t.Errorf("the process can tell (-without helper +with helper):\n%s", d)
			}
			if !strings.Contains(direct, "read from stdin") || strings.Count(direct, "\n") < 60 {
				t.Errorf("the process said too little:\n%s", direct)
			}
		})
	}
}

func TestEnvAndDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeProgram(t, filepath.Join(dir, "tool"), "#!/bin/sh\necho \"$0 in $(pwd)\"; echo $A $B $C $PATH\n", 0o755)
	cmd := helperCommand(t, Spec{
		Command: []string{"./tool"},
		Dir:     dir,
		Env:     []string{"B=new", "C=added"},
	})
	cmd.Env = []string{"A=kept", "B=old", "PATH=/usr/bin:/bin"}
	h := startHelper(t, cmd)
	h.want("./tool in " + dir)
	h.want("kept new added /usr/bin:/bin")
	if got := h.status(); got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestDescriptors(t *testing.T) {
	t.Parallel()
	// What the helper was started with beyond 0 to 2.
	files := make([]*os.File, 5)
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	show := shell(`for fd in 3 4 5 6 7; do printf '%s ' $fd; readlink /proc/$$/fd/$fd || echo; done; echo $LISTEN_FDS $LISTEN_FDNAMES; [ "$LISTEN_PID" = $$ ] && echo mine`)
	name := func(fd int) string { return fmt.Sprintf("%d %s", fd, files[fd-3].Name()) }

	t.Run("none are passed on unasked", func(t *testing.T) {
		cmd := helperCommand(t, Spec{Command: show})
		cmd.ExtraFiles = files
		h := startHelper(t, cmd)
		for fd := 3; fd < 8; fd++ {
			h.want(fmt.Sprint(fd, " "))
		}
		if got := h.status(); got != 1 {
			t.Errorf("status %d", got)
		}
	})
	t.Run("those that are named keep their numbers", func(t *testing.T) {
		cmd := helperCommand(t, Spec{Command: show, PassFDs: []int{6, 4}})
		cmd.ExtraFiles = files
		h := startHelper(t, cmd)
		for _, line := range []string{"3 ", name(4), "5 ", name(6), "7 "} {
			h.want(line)
		}
		if got := h.status(); got != 1 {
			t.Errorf("status %d", got)
		}
	})
	t.Run("systemd's sockets", func(t *testing.T) {
		// LISTEN_PID is the helper's, as systemd sets it.
		cmd := wrapped(`LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec "$@"`, helperCommand(t, Spec{Command: show}))
		cmd.ExtraFiles = files
		h := startHelper(t, cmd)
		for _, line := range []string{name(3), name(4), "5 ", "6 ", "7 ", "2 a:b", "mine"} {
			h.want(line)
		}
		if got := h.status(); got != 0 {
			t.Errorf("status %d\n%s", got, h.log)
		}
	})
	t.Run("one that is not there", func(t *testing.T) {
		h := startHelper(t, helperCommand(t, Spec{Command: show, PassFDs: []int{5}}))
		if got := h.status(); got != 1 || !strings.Contains(h.log.String(), "descriptor 5") {
			t.Errorf("status %d\n%s", got, h.log)
		}
	})
}

// The process that adopts systemd's sockets still ends with the helper, and its
// status is still its own.
func TestAdopterIsInvisible(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	start := func(spec Spec) *helperProcess {
		cmd := wrapped(`LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, helperCommand(t, spec))
		cmd.ExtraFiles = []*os.File{f}
		return startHelper(t, cmd)
	}
	if got := start(Spec{Command: shell("exit 77")}).status(); got != 77 {
		t.Errorf("status %d, want 77", got)
	}
	h := start(testChild("record", "-"))
	pid := h.ready()
	h.kill(syscall.SIGWINCH)
	h.want("SIGWINCH")
	h.kill(syscall.SIGKILL)
	awaitGone(t, pid)
	h.want("SIGTERM")
}

func TestMemoryOfTheHelperOnly(t *testing.T) {
	t.Parallel()
	h := startHelper(t, helperCommand(t, testChild("dumpable")))
	h.want("dumpable 1 <nil>")
	if got := h.status(); got != 0 {
		t.Errorf("status %d", got)
	}
	// A process that is not dumpable belongs to root, as seen in /proc.
	if os.Geteuid() != 0 {
		h := startHelper(t, helperCommand(t, testChild("record", "-")))
		h.ready()
		var st syscall.Stat_t
		if err := syscall.Stat(fmt.Sprintf("/proc/%d/environ", h.Process.Pid), &st); err != nil || st.Uid != 0 {
			t.Errorf("owner %d, %v", st.Uid, err)
		}
	}
}
