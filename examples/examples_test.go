package examples

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestRunning(t *testing.T) {
	proc := fstest.MapFS{
		"1/comm":       {Data: []byte("systemd\n")},
		"7/comm":       {Data: []byte("postgres\n")},
		"8/comm":       {Data: []byte("postgres\n")},
		"9/task/comm":  {Data: []byte("nginx\n")},
		"10/comm":      {Data: []byte("redis-server\n")},
		"self/comm":    {Data: []byte("haproxy\n")},
		"11/something": {},
		"12/comm":      {Data: []byte("sh\n")},
	}
	if got := Running(proc); !slices.Equal(got, []string{"postgresql", "redis"}) {
		t.Errorf("running are %q", got)
	}
}
