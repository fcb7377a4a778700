package testbed

import (
	"fmt"
	"net"
	"testing"
)

func TestPortIsForWhoAsksForIt(t *testing.T) {
	port, release, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
}
