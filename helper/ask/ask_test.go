//go:build unix

package ask

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"github.com/svidhelper/svidhelper/writer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers beside a set in a directory until the test ends.
func serve(t *testing.T, dir, set string, answer func(string) Answer) *Server {
	t.Helper()
	s, err := Serve(dir, set, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ask-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func is(a Answer) func(string) Answer { return func(string) Answer { return a } }

// TestSetsHaveASocketEach, and it is their owner's alone.
func TestSetsHaveASocketEach(t *testing.T) {
	dir := shortDir(t)
	old := syscall.Umask(0)
	serve(t, dir, "", is(Answer{Ready: true}))
	serve(t, dir, "b", is(Answer{Reasons: []string{"no", "\x1b[31mred\n"}}))
	syscall.Umask(old)
	sets, err := Sets(dir)
	if err != nil || fmt.Sprint(sets) != "[ b]" {
		t.Errorf("sets %q, %v", sets, err)
	}
	for _, set := range sets {
		info, err := os.Stat(filepath.Join(dir, writer.SocketName(set)))
		if err != nil || info.Mode() != fs.ModeSocket|0o600 {
			t.Errorf("set %q: %v, %v", set, info.Mode(), err)
		}
	}
	if a, err := Ask(t.Context(), dir, "", Ready); err != nil || !a.Ready {
		t.Errorf("%+v, %v", a, err)
	}
	a, err := Ask(t.Context(), dir, "b", Ready)
	if err != nil || a.Ready || len(a.Reasons) != 2 || strings.ContainsFunc(a.Reasons[1], func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestLongPath: a directory may lie deeper than a socket's address can say.
func TestLongPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a way around")
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("a", 120))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t, dir, "", is(Answer{Ready: true}))
	if a, err := Ask(t.Context(), dir, "", Ready); err != nil || !a.Ready {
		t.Errorf("%+v, %v", a, err)
	}
	s.Close()
	if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket has stayed: %v", err)
	}
	s.running.Wait()
}

// TestNoHelperToAsk: each way in which there is no answer says what to do.
func TestNoHelperToAsk(t *testing.T) {
	for what, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"no socket": {func(*testing.T, string) {}, "/ready of health"},
		"a socket that was left behind": {func(t *testing.T, path string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		}, "does not run"},
		"something else listens": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			var serving sync.WaitGroup
			serving.Go(func() {
				if conn, err := l.Accept(); err == nil {
					_, _ = bufio.NewReader(conn).ReadString('\n')
					io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n")
					conn.Close()
				}
			})
			t.Cleanup(func() { l.Close(); serving.Wait() })
		}, "does not answer as svidhelper"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := shortDir(t)
			c.prepare(t, filepath.Join(dir, writer.SocketName("")))
			if _, err := Ask(t.Context(), dir, "", Ready); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q in it", err, c.want)
			}
		})
	}
}

// TestStaleSocketIsReplaced, and nothing else is.
func TestStaleSocketIsReplaced(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, writer.SocketName(""))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	serve(t, dir, "", is(Answer{Ready: true}))
	if a, err := Ask(t.Context(), dir, "", Ready); err != nil || !a.Ready {
		t.Errorf("%+v, %v", a, err)
	}
	other := filepath.Join(dir, writer.SocketName("x"))
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(dir, "x", is(Answer{})); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file is in its place: %v", err)
	}
}

// TestLost: a socket that another program removes is noticed, and one that it has
// replaced is left alone.
func TestLost(t *testing.T) {
	dir := shortDir(t)
	s, err := Serve(dir, "", is(Answer{}))
	if err != nil {
		t.Fatal(err)
	}
	if s.Lost() {
		t.Error("lost from the start")
	}
	if err := os.Rename(s.path, s.path+".away"); err != nil {
		t.Fatal(err)
	}
	if !s.Lost() {
		t.Error("not lost when it is gone")
	}
	if err := os.WriteFile(s.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Lstat(s.path); err != nil {
		t.Errorf("what another program has put there is gone: %v", err)
	}
}

// TestIsBounded: a client that says nothing, one that never ends its question, and
// an answer without measure hold up no probe and take no memory.
func TestIsBounded(t *testing.T) {
	dir := shortDir(t)
	reasons := make([]string, 10_000)
	for i := range reasons {
		reasons[i] = strings.Repeat("\u00e4", 10_000)
	}
	s := serve(t, dir, "", is(Answer{Reasons: reasons}))
	for range atOnce - 1 {
		conn, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	a, err := Ask(t.Context(), dir, "", Ready)
	if err != nil || len(a.Reasons) != maxReasons+1 || len(a.Reasons[0]) > maxReason+3 || !strings.Contains(a.Reasons[maxReasons], "9980 more") {
		t.Errorf("%d reasons, the first of %d bytes, %v", len(a.Reasons), len(a.Reasons[0]), err)
	}
	conn, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, strings.Repeat("x", 10*maxQuestion))
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("a question without end is answered: %.100q", got)
	}
}

// TestPatience: a helper that hangs is told apart from one that is not ready.
func TestPatience(t *testing.T) {
	dir := shortDir(t)
	asked, free := make(chan struct{}), make(chan struct{})
	serve(t, dir, "", func(string) Answer { close(asked); <-free; return Answer{} })
	defer close(free)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() { _, err := Ask(ctx, dir, "", Ready); done <- err }()
	<-asked
	if err := <-done; err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("%v", err)
	}
}

// TestCloseWaitsForNoQuestion: a client that has connected and asks nothing held up
// the end of svidhelper for as long as a question may take.
func TestCloseWaitsForNoQuestion(t *testing.T) {
	dir := shortDir(t)
	s := serve(t, dir, "", is(Answer{Ready: true}))
	silent, err := net.Dial("unix", filepath.Join(dir, writer.SocketName("")))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := Ask(context.Background(), dir, "", Ready); err != nil { // so that the silent one has been accepted
		t.Fatal(err)
	}
	start := time.Now()
	s.Close()
	if took := time.Since(start); took > patience/2 {
		t.Errorf("the end took %v", took)
	}
}
