//go:build unix

package devapi_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

func TestSocketIsPrivate(t *testing.T) {
	path := filepath.Join(filepath.Dir(devapitest.Socket(t)), "new", "api.sock")
	s, _ := devapitest.New(t, devapi.Config{})
	if err := s.Start("unix://" + path); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket outlived its server: %v", err)
	}
}

func TestWhatStandsAtTheSocketsPath(t *testing.T) {
	t.Run("stale socket", func(t *testing.T) {
		path := devapitest.Socket(t)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		s, _ := devapitest.New(t, devapi.Config{})
		if err := s.Start("unix://" + path); err != nil {
			t.Errorf("not replaced: %v", err)
		}
	})
	t.Run("live socket", func(t *testing.T) {
		live, _ := devapitest.Start(t, devapi.Config{})
		s, _ := devapitest.New(t, devapi.Config{})
		if err := s.Start(live.Addr()); err == nil || !strings.Contains(err.Error(), "served by another process") {
			t.Errorf("got %v", err)
		}
		if err := calls(stub(t, live))[devapi.FetchX509SVID](withHeader(deadline(t))); err != nil {
			t.Errorf("the one that was there first: %v", err)
		}
	})
	t.Run("file", func(t *testing.T) {
		path := devapitest.Socket(t)
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := devapitest.New(t, devapi.Config{})
		if err := s.Start("unix://" + path); err == nil {
			t.Error("no error")
		}
		if b, _ := os.ReadFile(path); string(b) != "precious" {
			t.Error("the file was touched")
		}
	})
}

func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "/run/api.sock", "unix:", "unix://host/path", "tcp://", "tcp://127.0.0.1:0/path", "http://127.0.0.1:0", "tcp://%zz"} {
		s, _ := devapitest.New(t, devapi.Config{})
		if err := s.Start(address); err == nil {
			t.Errorf("%q: no error", address)
		}
	}
}

func TestTCPKeepsItsPort(t *testing.T) {
	s, _ := devapitest.New(t, devapi.Config{})
	if err := s.Up(); err == nil {
		t.Error("up before start")
	}
	if err := s.Start("tcp://127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	address := s.Addr()
	if err := s.Start("tcp://127.0.0.1:0"); err == nil {
		t.Error("started twice")
	}
	s.Down()
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	if got := s.Addr(); got != address {
		t.Errorf("%s after %s", got, address)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	s, _ := devapitest.New(t, devapi.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	path := devapitest.Socket(t)
	go func() { ended <- s.Serve(ctx, "unix://"+path) }()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Serve(t.Context(), "nowhere"); err == nil {
		t.Error("served nowhere")
	}
}

// A listener that fails ends Serve with its error.
func TestServeSaysWhyItEnded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s, _ := devapitest.New(t, devapi.Config{Listen: func(string) (net.Listener, error) { return l, nil }})
	if err := s.Serve(t.Context(), "broken"); err == nil {
		t.Error("no error")
	}
}

// A client that connects and says nothing must not hold the server's end up.
func TestCloseDoesNotWaitForASilentClient(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	c, err := net.Dial("unix", strings.TrimPrefix(s.Addr(), "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := f.Wait(deadline(t), func(c devapi.Counts) bool { return c.Connections == 1 }); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("closing took %v", took)
	}
}
