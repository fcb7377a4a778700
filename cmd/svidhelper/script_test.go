package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

func TestMain(m *testing.M) {
	// Under nohup, SIGHUP would be ignored in every process that a test starts.
	if strings.HasSuffix(os.Args[0], ".test") && signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	testscript.Main(m, map[string]func(){
		"svidhelper":    main,
		"spiffe-helper": main,
	})
}

// TestScripts runs each script in testdata/script with the real program. A
// script finds a development Workload API at $SPIFFE_ENDPOINT_SOCKET.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			api, err := devapi.New(devapi.Config{ManualRotation: true})
			if err != nil {
				return err
			}
			// A socket's path is short, a script's directory is not.
			dir, err := os.MkdirTemp("", "api-")
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := api.Close(); err != nil {
					t.Error(err)
				}
				os.RemoveAll(dir)
			})
			if err := api.Start("unix://" + filepath.Join(dir, "api.sock")); err != nil {
				return err
			}
			env.Setenv("SPIFFE_ENDPOINT_SOCKET", api.Addr())
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("API", strings.TrimPrefix(api.Addr(), "unix://"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitStatus,
		},
	})
}

// exitStatus runs a program and compares its exit status:
//
//	status CODE program args...
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE program args...")
	}
	// A shell reports the status of what it ran, whatever it is.
	script := `code=$1; shift; "$@" || got=$?; [ "${got:-0}" = "$code" ] || { echo "exit status ${got:-0}, not $code" >&2; exit 1; }`
	err := ts.Exec("sh", append([]string{"-c", script, "status"}, args...)...)
	ts.Check(err)
}
