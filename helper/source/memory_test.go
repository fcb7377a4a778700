package source

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc/test/bufconn"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// A Workload API without a socket is as good as any.
func TestDial(t *testing.T) {
	memory := bufconn.Listen(1 << 16)
	api, _ := devapitest.New(t, devapi.Config{Listen: func(string) (net.Listener, error) { return memory, nil }})
	check(t, api.Start("memory"))
	dial := func(ctx context.Context) (net.Conn, error) { return memory.DialContext(ctx) }
	s := newTestSource(t, Config{Address: "memory", Dial: dial, Needs: everything("a")})
	stop := run(t, s)
	await(t, s, "everything", allArrived)
	if got := s.Status().Connection.Address; got != "memory" {
		t.Errorf("the connection is called %q", got)
	}
	check(t, stop())
}
