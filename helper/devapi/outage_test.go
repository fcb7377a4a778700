//go:build unix

package devapi_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

func TestDownAndUp(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{ManualRotation: true})
	path := strings.TrimPrefix(s.Addr(), "unix://")
	ctx := deadline(t)
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(
		workloadapi.WithAddr(s.Addr()), workloadapi.WithBackoffStrategy(eager{}),
		workloadapi.WithDialOptions(grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond}}))))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	recv := watch(t, ctx, stub(t, s))

	for name, down := range map[string]func(){"down": s.Down, "crash": s.Crash} {
		// The inode must not be free for reuse while its number is compared.
		link := path + "-" + name
		if err := os.Link(path, link); err != nil {
			t.Fatal(err)
		}
		down()
		down() // twice is as good as once
		if _, err := recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: the stream ended with %v", name, err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) != (name == "down") {
			t.Errorf("%s: the socket: %v", name, err)
		}
		updated := source.Updated()
		want := serial(s.Rotate()[0])
		if err := s.Up(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-updated:
		case <-ctx.Done():
			t.Fatalf("%s: no update", name)
		}
		if svid, err := source.GetX509SVID(); err != nil || serial(svid) != want {
			t.Errorf("%s: not the newest: %v", name, err)
		}
		after, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(before, after) {
			t.Errorf("%s: the same inode as before", name)
		}
		before = after
		recv = watch(t, ctx, stub(t, s))
	}
	if n := len(f.Connections()); n < 6 {
		t.Errorf("%d connections counted, there were at least 6", n)
	}
}

// eager retries at once, nearly.
type eager struct{}

func (eager) NewBackoff() workloadapi.Backoff { return eager{} }
func (eager) Next() time.Duration             { return time.Millisecond }
func (eager) Reset()                          {}
