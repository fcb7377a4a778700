package supervisor

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// The contract: in front of a terminal it is as if the helper were not there.

// A terminalSession is an interactive shell on a terminal of its own.
type terminalSession struct {
	t   *testing.T
	tty *os.File
	cmd *exec.Cmd

	mu     sync.Mutex
	record strings.Builder
	seen   int // up to here it was expected
	more   chan struct{}
}

const prompt = "READY> "

// newTerminal starts the shell. In it, $H is the helper and $C its
// configuration.
func newTerminal(t *testing.T, env ...string) *terminalSession {
	t.Helper()
	cmd := exec.Command("bash", "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(os.Environ(), append(env, "PS1="+prompt, "H="+useProduct(t).binary, "C="+configFile(t, Spec{}, false), "HISTFILE=", "LC_ALL=C")...)
	s := onTerminal(t, cmd)
	s.expect(prompt)
	return s
}

// onTerminal starts cmd as the first process of a session with a terminal.
func onTerminal(t *testing.T, cmd *exec.Cmd) *terminalSession {
	t.Helper()
	cmd.SysProcAttr = nil
	blocking, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	// One that can be closed while somebody reads from it.
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	blocking.Close()
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &terminalSession{t: t, tty: os.NewFile(uintptr(fd), "terminal"), cmd: cmd, more: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(s, s.tty) // ends with an error, when the last has closed it
	}()
	t.Cleanup(func() {
		s.tty.Close() // a hangup: everybody ends
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		<-read
		if t.Failed() {
			t.Logf("recorded:\n%s", s.record.String())
		}
	})
	return s
}

func (s *terminalSession) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record.Write(p)
	ring(s.more)
	return len(p), nil
}

// expect waits until the terminal shows all the texts, in any order, after what
// was expected before.
func (s *terminalSession) expect(texts ...string) {
	s.t.Helper()
	late := time.After(patience)
	for !s.shows(texts) {
		select {
		case <-s.more:
		case <-late:
			s.t.Fatalf("the terminal does not show %q", texts)
		}
	}
}

func (s *terminalSession) shows(texts []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown, end := s.record.String(), s.seen
	for _, text := range texts {
		i := strings.Index(shown[s.seen:], text)
		if i < 0 {
			return false
		}
		end = max(end, s.seen+i+len(text))
	}
	s.seen = end
	return true
}

// types is what a person types; \x03 is Ctrl-C, \x1a Ctrl-Z.
func (s *terminalSession) types(text string) {
	s.t.Helper()
	if _, err := s.tty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// command types a command, and waits until the terminal has shown it.
func (s *terminalSession) command(line string) {
	s.t.Helper()
	s.types(line + "\n")
	s.expect(line)
}

// started waits for the end of the line in which the helper says that the
// process runs: what is typed earlier is echoed in the middle of it.
func (s *terminalSession) started() {
	s.t.Helper()
	s.expect("process started")
	s.expect("\r\n")
}

// foreground types fg, and waits until the shell has said what it continues.
func (s *terminalSession) foreground(job string) {
	s.t.Helper()
	s.command("fg")
	s.expect(job + "\r\n")
}

// asHelper is how the shell runs a command behind the helper.
func asHelper(command string) string { return "$H run -config $C -- " + command }

// cat, Ctrl-Z, fg, Ctrl-C, and the exit status.
func TestTerminalSession(t *testing.T) {
	t.Parallel()
	s := newTerminal(t)
	s.command(asHelper("cat"))
	s.started()
	s.types("hello\n")
	s.expect("hello\r\n") // the terminal's echo
	s.expect("hello\r\n") // cat's
	for range 2 {
		s.types("\x1a")
		s.expect("Stopped")
		s.expect(prompt)
		s.command("jobs")
		s.expect("Stopped")
		s.expect(prompt)
		s.foreground(asHelper("cat"))
		s.types("once more\n")
		s.expect("once more\r\n")
		s.expect("once more\r\n")
	}
	s.types("\x03")
	s.expect(prompt)
	s.command("echo status=$?")
	s.expect("status=130")
	s.expect(prompt)

	s.command(asHelper("cat"))
	s.started()
	s.types("\x04") // the end of the input
	s.expect(prompt)
	s.command("echo status=$?")
	s.expect("status=0")
	s.expect(prompt)

	s.command(asHelper("sh -c 'exit 7'") + "; echo status=$?")
	s.expect("status=7")
	s.expect(prompt)
}

// In the background, cat is stopped when it wants to read, and the shell says
// so; fg gives it the terminal.
func TestTerminalBackground(t *testing.T) {
	t.Parallel()
	s := newTerminal(t)
	s.command(asHelper("cat") + " &")
	s.started()
	for s.stoppedJobs() == 0 {
	}
	s.foreground(asHelper("cat"))
	s.types("hello\n")
	s.expect("hello\r\n")
	s.expect("hello\r\n")
	s.types("\x1a")
	s.expect("Stopped")
	s.expect(prompt)
	s.command("kill %1; fg") // fg may come too late, and then has no status
	s.expect("signal=SIGTERM")
	s.command("while kill -0 %1 2>/dev/null; do :; done; echo go''ne")
	s.expect("gone")
}

// stoppedJobs asks the shell.
func (s *terminalSession) stoppedJobs() (n int) {
	s.t.Helper()
	s.command("echo stopped=$(jobs -s | wc -l).")
	s.expect("stopped=")
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Sscan(s.record.String()[s.seen:], &n)
	return n
}

// Others of the helper's pipeline may want the terminal; the process gets it
// when it asks.
func TestTerminalPipeline(t *testing.T) {
	t.Parallel()
	s := newTerminal(t)
	s.command(asHelper("cat") + " | sed -u 's/^/out: /'")
	s.started()
	s.types("hello\n")
	s.expect("out: hello")
	s.types("\x1a")
	s.expect("Stopped")
	s.expect(prompt)
	s.foreground("")
	s.types("again\n")
	s.expect("out: again")
	s.types("\x03")
	s.expect("signal=SIGINT")
	s.expect(prompt)
}

// Ctrl-C reaches the children of a script, too, whether or not the process has
// the terminal.
func TestTerminalInterruptsTheGroup(t *testing.T) {
	t.Parallel()
	s := newTerminal(t, `SCRIPT=sh -c "echo up; exec sleep 1000"; echo not reached`)
	for _, pipe := range []string{"", " | cat"} {
		s.command(asHelper(`sh -c "$SCRIPT"`) + pipe)
		s.expect("up\r\n")
		s.types("\x03")
		s.expect(prompt)
		s.command("echo status=${PIPESTATUS[0]}")
		s.expect("status=130")
		s.expect(prompt)
	}
}

func TestTerminalWindowSize(t *testing.T) {
	t.Parallel()
	s := newTerminal(t, `SCRIPT=trap 'stty size' WINCH; echo up; while sleep 0.05; do :; done`)
	s.command(asHelper(`sh -c "$SCRIPT"`))
	s.expect("up\r\n")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 33, Cols: 111}); err != nil {
		t.Fatal(err)
	}
	s.expect("33 111")
	s.types("\x03")
	s.expect(prompt)
}

// An interactive shell is a process that handles job control itself.
func TestTerminalShellInShell(t *testing.T) {
	t.Parallel()
	s := newTerminal(t)
	s.command("PS1='OUTER> '")
	s.expect("OUTER> ")
	s.command(asHelper("bash --norc --noprofile --noediting -i"))
	s.expect(`command="bash --norc --noprofile --noediting -i"`+"\r\n", "OUTER> ") // a log line, and the prompt that is inherited
	s.command("PS1='INNER> '")
	s.expect("INNER> ")
	s.command("cat")
	s.types("there\n") // it has the terminal
	s.expect("there\r\n")
	s.expect("there\r\n")
	s.types("\x1a")
	s.expect("Stopped")
	s.expect("INNER> ")
	s.foreground("cat")
	s.types("hello\n")
	s.expect("hello\r\n")
	s.expect("hello\r\n")
	s.types("\x03")
	s.expect("INNER> ")
	s.command("exit 5")
	s.expect("OUTER> ")
	s.command("echo status=$?")
	s.expect("status=5")
}

// What a script runs after the helper has the terminal again, whatever became of
// the process.
func TestTerminalComesBack(t *testing.T) {
	t.Parallel()
	noInterpreter := filepath.Join(t.TempDir(), "script")
	writeProgram(t, noInterpreter, "#!/no/such/interpreter\n", 0o755)
	for command, status := range map[string]string{
		"true":                                  "0",
		noInterpreter:                           "127",
		"sh -c 'kill -9 $$'":                    "137",
		"bash -c 'set -m; sleep 0.01; kill $$'": "143",
	} {
		s := newTerminal(t, "SCRIPT="+asHelper(command)+"; echo came back with $?; read line; echo read=$line")
		s.command(`sh -c "$SCRIPT"`)
		s.expect("came back with " + status)
		s.types("hello\n")
		s.expect("read=hello")
		s.expect(prompt)
	}
}

// The first process of a session, as in a container with a terminal: nobody
// would continue it, so Ctrl-Z does nothing.
func TestTerminalOfASession(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, helperCommand(t, Spec{Command: []string{"cat"}}))
	s.started()
	s.types("\x1a")
	s.types("hello\n")
	s.expect("hello\r\n")
	s.expect("hello\r\n")
	s.types("\x03")
	if got := waitStatus(t, s.cmd); got != 130 {
		t.Errorf("status %d, want 130", got)
	}
}

// A terminal that hangs up takes the process with it.
func TestTerminalHangup(t *testing.T) {
	t.Parallel()
	s := onTerminal(t, helperCommand(t, Spec{Command: shell("trap 'exit 9' HUP; linger")}))
	s.started()
	s.types("hello\n")
	s.expect("hello\r\n")
	s.tty.Close()
	if got := waitStatus(t, s.cmd); got != 9 && got != 129 {
		t.Errorf("status %d, want 9, or 129 before the trap", got)
	}
}
