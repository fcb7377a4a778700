//go:build unix

package supervisor_test

import (
	"context"
	"fmt"
	"log/slog"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor"
)

// The smallest helper: what the process needs is on disk, so it may start; its
// end is the helper's end.
func Example() {
	s, err := supervisor.New(supervisor.Spec{
		Command:    []string{"sh", "-c", "exit 3"},
		OnRotation: supervisor.Rotation{Signal: syscall.SIGUSR1},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Rotated()
	fmt.Println(s.Run(context.Background()))
	fmt.Println(s.Status().State)
	// Output:
	// process exited with status 3
	// done
}
