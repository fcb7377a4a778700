package supervisor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/svidhelper/svidhelper/supervisor/internal/signals"
)

// The contract: every rotation reaches the process, and none ends it.

// slowHandler is a process that handles SIGHUP 300 ms after its start, and has
// no handler until then.
const slowHandler = `
	sleep 0.3
	trap 'echo HUP >>$1' HUP
	linger`

// A rotation right after the start, two hundred times: SIGHUP would end the
// process at any moment of its first 300 ms.
func TestRotationRightAfterTheStart(t *testing.T) {
	t.Parallel()
	const times = 200
	slots := make(chan struct{}, 20)
	var told atomic.Int32
	var wg sync.WaitGroup
	for i := range times {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				path, out := pipe(t)
				s := supervise(t, Spec{Command: shell(slowHandler, path)})
				s.Rotated()
				s.running()
				time.Sleep(time.Millisecond) // the moment of the rotation
				s.Rotated()
				out.want("HUP")
				if st := s.upToDate(); st.Starts != 1 || st.LastExit != nil || st.Failure != "" {
					t.Errorf("status %+v", st)
				}
				told.Add(1)
				s.Stop()
				wantStatus(t, s.result(), 143)
			})
		})
	}
	wg.Wait()
	t.Logf("%d of %d processes lived and were told", told.Load(), times)
}

// The same in front of a Go program, whose runtime catches SIGHUP from the
// start only to die of it.
func TestRotationRightAfterTheStartOfAGoProgram(t *testing.T) {
	t.Parallel()
	for _, asks := range []string{"all", "hup", "usr2"} {
		t.Run(asks, func(t *testing.T) {
			t.Parallel()
			path, out := pipe(t)
			spec := testChild("record", path, "slow", asks)
			if asks == "usr2" {
				spec.OnRotation.Signal = syscall.SIGUSR2
			}
			s := supervise(t, spec)
			s.Rotated()
			s.running()
			s.Rotated()
			out.ready()
			out.want(signals.Name(s.spec.OnRotation.Signal))
			if st := s.upToDate(); st.Starts != 1 || st.LastExit != nil {
				t.Errorf("status %+v", st)
			}
			s.Stop()
			wantStatus(t, s.result(), 42)
		})
	}
}

// A rotation while a Go program's runtime installs its handlers, one after the
// other: it died of one in forty.
func TestRotationWhileAGoRuntimeStarts(t *testing.T) {
	t.Parallel()
	const times = 100
	slots := make(chan struct{}, 8)
	var wg sync.WaitGroup
	for i := range times {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				path, out := pipe(t)
				s := supervise(t, testChild("record", path, "all"))
				s.Rotated()
				s.running()
				s.Rotated()
				out.ready()
				out.want("SIGHUP")
				if st := s.upToDate(); st.Starts != 1 || st.LastExit != nil {
					t.Errorf("status %+v", st)
				}
				s.Stop()
				wantStatus(t, s.result(), 42)
			})
		})
	}
	wg.Wait()
}

// A process that never handles SIGHUP lives through twenty rotations, and it is
// no secret that it is not being told.
func TestProcessThatNeverHandlesTheSignal(t *testing.T) {
	t.Parallel()
	inGo := shell(fmt.Sprintf(`exec env %s=record %s - usr2 >/dev/null`, childVar, testBinary()))
	for name, c := range map[string]struct {
		command []string
		signal  syscall.Signal
		says    string
	}{
		"has no handler":            {[]string{"sleep", "1000"}, syscall.SIGHUP, "has no handler for SIGHUP"},
		"ignores it":                {shell(`trap '' HUP; exec sleep 1000`), syscall.SIGHUP, "ignores SIGHUP"},
		"is in Go, asks for others": {inGo, syscall.SIGUSR1, "has no handler for SIGUSR1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := make(errorLog, 100)
			inner, err := New(Spec{Command: c.command, OnRotation: Rotation{Signal: c.signal}}, slog.New(failures))
			if err != nil {
				t.Fatal(err)
			}
			s := superviseWith(t, inner)
			s.Rotated()
			s.running()
			for range 10 { // before it is given up
				s.Rotated()
			}
			st := s.await("known not to be told", func(st Status) bool { return st.Failure != "" })
			waited := time.Since(st.Started)
			for range 10 {
				s.Rotated()
			}
			for range 2 { // one when it is given up, one at least for what follows
				select {
				case <-failures:
				case <-time.After(patience):
					t.Fatal("the log does not say so")
				}
			}
			st = s.Status()
			if st.State != StateRunning || st.Starts != 1 || st.LastExit != nil || st.Delivered != 1 || st.Rotated != 21 {
				t.Errorf("status %+v", st)
			}
			t.Logf("after %v: %s", waited.Round(time.Millisecond), st.Failure)
			if waited < 10*time.Second || !strings.Contains(st.Failure, c.says) {
				t.Errorf("failed after %v: %s", waited, st.Failure)
			}
			s.Stop()
			status := 143
			if strings.Contains(name, "Go") {
				status = 42 // as it says at SIGTERM
			}
			wantStatus(t, s.result(), status)
		})
	}
}

// An errorLog hands over each error that is logged.
type errorLog chan string

func (l errorLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (l errorLog) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l errorLog) WithGroup(string) slog.Handler                    { return l }
func (l errorLog) Handle(_ context.Context, r slog.Record) error {
	l <- r.Message
	return nil
}

// A handler that comes after all has its rotation, and the failure is over.
func TestHandlerThatComesLate(t *testing.T) {
	fake(t, Spec{}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.handles = signals.Default })
		s.Rotated()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Failure != "" {
			t.Fatalf("given up early: %+v", st)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Failure == "" || len(h.heard()) > 0 {
			t.Fatalf("status %+v, signals %v", st, h.heard())
		}
		time.Sleep(time.Hour)
		looks := h.looks()
		time.Sleep(time.Hour)
		if n := h.looks() - looks; n > 3600/30+1 {
			t.Errorf("%d looks in an hour in which nothing has changed", n)
		}
		h.change(func() { h.process.handles = signals.Caught })
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Failure != "" || st.Delivered != 2 || !slices.Equal(h.heard(), []syscall.Signal{syscall.SIGHUP}) {
			t.Errorf("status %+v, signals %v", st, h.heard())
		}
		wantStatus(t, result(), 143)
	})
}

// A signal that means the end and was chosen is sent without a handler, after
// the time that one may take.
func TestChosenSignalThatMeansTheEnd(t *testing.T) {
	fake(t, Spec{OnRotation: Rotation{Signal: syscall.SIGTERM}, Restart: RestartAlways},
		func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
			s.Rotated()
			synctest.Wait()
			h.change(func() { h.process.handles = signals.Default })
			s.Rotated()
			time.Sleep(9 * time.Second)
			synctest.Wait()
			if len(h.heard()) != 0 {
				t.Fatal("sent before a handler had its time")
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if st := s.Status(); st.Delivered != 2 || st.Restarts != 1 || st.LastExit.Status() != 143 {
				t.Errorf("status %+v", st)
			}
			wantStatus(t, result(), 143)
		})
}

// A signal that is blocked for a moment, as in every fork, is not sent; one that
// stays blocked is taken from a queue.
func TestBlockedSignal(t *testing.T) {
	fake(t, Spec{}, func(t *testing.T, s *Supervisor, h *fakeHost, result func() error) {
		s.Rotated()
		synctest.Wait()
		time.Sleep(time.Minute)
		h.change(func() { h.process.handles = signals.Blocked })
		s.Rotated()
		synctest.Wait()
		h.change(func() { h.process.handles = signals.Default })
		time.Sleep(time.Second)
		synctest.Wait()
		if len(h.heard()) != 0 {
			t.Fatal("sent to a process that has no handler")
		}
		h.change(func() { h.process.handles = signals.Blocked })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if st := s.Status(); st.Delivered != 2 || len(h.heard()) != 1 {
			t.Errorf("status %+v, signals %v", st, h.heard())
		}
		s.Rotated() // by now it is known
		synctest.Wait()
		if st := s.Status(); st.Delivered != 3 || len(h.heard()) != 2 {
			t.Errorf("status %+v, signals %v", st, h.heard())
		}
		wantStatus(t, result(), 143)
	})
}

func TestHandlingOfRealProcesses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command []string
		want    signals.Handling
	}{
		"default":             {shell(`echo >$1; exec sleep 1000`), signals.Default},
		"ignored":             {shell(`trap '' HUP; echo >$1; exec sleep 1000`), signals.Ignored},
		"blocked":             {shell(`exec env --block-signal=HUP sh -c 'echo >$1; exec sleep 1000' sh $1`), signals.Blocked},
		"caught":              {shell(`trap : HUP; echo >$1; while sleep 0.05; do :; done`), signals.Caught},
		"Go, for all signals": {goChild("all"), signals.Caught},
		"Go, for SIGHUP":      {goChild("hup"), signals.Caught},
		"Go, for others":      {goChild("usr2"), signals.Caught}, // a Go program does not show whether it expects SIGHUP
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, out := pipe(t)
			s := supervise(t, Spec{Command: append(c.command, path)})
			s.Rotated()
			out.next()
			m := signals.Open(s.running().PID)
			defer m.Close()
			// A shell that execs sleep does so after it has spoken.
			got := m.Handling(syscall.SIGHUP)
			for end := time.Now().Add(patience); got != c.want && time.Now().Before(end); {
				got = m.Handling(syscall.SIGHUP)
			}
			if got != c.want {
				t.Errorf("handling %d, want %d", got, c.want)
			}
		})
	}
}

// goChild is a Go program that asks for some signals.
func goChild(asks string) []string {
	return shell(fmt.Sprintf("exec env %s=record %s $1 %s", childVar, testBinary(), asks))
}

// Rotations that come while a real process restarts become one, and there are
// never two processes.
func TestRestartAtRotationOfARealProcess(t *testing.T) {
	t.Parallel()
	path, out := pipe(t)
	s := supervise(t, Spec{
		Command:    shell(`trap 'sleep 0.1; rmdir $1.lock; exit' TERM; mkdir $1.lock || echo two at once >>$1; echo up >>$1; linger`, path),
		OnRotation: Rotation{Action: RotationRestart},
	})
	s.Rotated()
	out.want("up")
	for range 5 {
		for range 20 {
			s.Rotated()
		}
		out.want("up")
		s.upToDate()
	}
	st := s.Status()
	t.Logf("100 rotations in 5 bursts: %d starts", st.Starts)
	if st.Starts < 6 || st.Starts > 11 {
		t.Errorf("%d starts", st.Starts)
	}
	s.Stop()
	wantStatus(t, s.result(), 0)
	for len(out.c) > 0 {
		out.want("up")
	}
}

// How long a rotation takes to reach a process that runs.
func TestRotationLatency(t *testing.T) {
	path, out := pipe(t)
	s := supervise(t, Spec{Command: shell(`trap 'echo HUP >>$1' HUP; echo up >>$1; linger`, path)})
	s.Rotated()
	out.want("up")
	s.running()
	var took []time.Duration
	for range 200 {
		began := time.Now()
		s.Rotated()
		s.upToDate()
		took = append(took, time.Since(began))
		out.want("HUP")
	}
	slices.Sort(took)
	t.Logf("Rotated to signal sent: p50 %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
	s.Stop()
	var exit *ExitError
	if err := s.result(); !errors.As(err, &exit) {
		t.Errorf("result %v", err)
	}
}

// With 400 supplementary groups the masks stand far down in the status; the
// process was signalled without having been seen, and died.
func TestProcessWithManyGroupsLivesThroughRotations(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setpriv"); err != nil || os.Geteuid() != 0 {
		t.Skip("setpriv and root are needed to set groups")
	}
	var groups []string
	for n := range 400 {
		groups = append(groups, strconv.Itoa(1_000_000_000+n))
	}
	s := supervise(t, Spec{Command: []string{"setpriv", "--groups", strings.Join(groups, ","), "sleep", "1000"}})
	s.Rotated()
	s.running()
	for range 5 {
		s.Rotated()
		s.await("known not to be told", func(st Status) bool { return st.Failure != "" })
	}
	if st := s.Status(); st.State != StateRunning || st.Starts != 1 || st.LastExit != nil {
		t.Errorf("status %+v", st)
	}
}

// The helper looks at no more of a process than its status and its threads': not
// at its memory, nor at its executable, however it is made.
func TestRotationReadsStatusOnly(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	spec := testChild("record", "-", "hup")
	spec.Command[0] = manySections(t, spec.Command[0])
	cmd := rotatingHelper(t, spec)
	cmd.Args = append([]string{"strace", "-f", "-qq", "-o", trace, "-e", "trace=open,openat,openat2,ptrace,process_vm_readv"}, cmd.Args...)
	cmd.Path, _ = exec.LookPath("strace")
	h := startHelper(t, cmd)
	h.ready()
	for range 3 {
		rotateAll(t)
		h.until("SIGHUP")
	}
	_ = syscall.Kill(-h.Process.Pid, syscall.SIGTERM)
	h.status()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for line := range strings.Lines(string(text)) {
		_, path, is := strings.Cut(line, `"/proc/`)
		path, _, _ = strings.Cut(path, `"`)
		pid, file, _ := strings.Cut(path, "/")
		if strings.Contains(line, "process_vm_readv") || strings.Contains(line, "ptrace(") {
			t.Errorf("the helper reads another process: %s", line)
		}
		if _, err := strconv.Atoi(pid); !is || err != nil {
			continue
		}
		looked++
		if !strings.HasSuffix(file, "status") && file != "task" {
			t.Errorf("the helper opens /proc/%s", path)
		}
	}
	if looked == 0 {
		t.Error("the helper has not looked at the process at all")
	}
}

// manySections returns a copy of the program with three million sections, all of
// them holes in the file. To read its section headers would take seconds.
func manySections(t *testing.T, program string) string {
	t.Helper()
	const sections, size = 3_000_000, 64
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	order := binary.NativeEndian
	at := (len(content) + 7) &^ 7
	order.PutUint64(content[40:], uint64(at)) // e_shoff
	order.PutUint16(content[58:], size)       // e_shentsize
	order.PutUint16(content[60:], 0)          // e_shnum: the first section's size says it
	content = append(content, make([]byte, at-len(content)+size)...)
	order.PutUint64(content[at+32:], sections)
	path := filepath.Join(t.TempDir(), "program")
	writeProgram(t, path, string(content), 0o755)
	if err := os.Truncate(path, int64(at+sections*size)); err != nil {
		t.Fatal(err)
	}
	return path
}
