//go:build linux

package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"time"
)

// A talk is a few words with the server, inside TLS. A client of TLS 1.3 is
// done with its handshake before the server has looked at its certificate: only
// an answer shows that it was accepted.
type talk func(conn *tls.Conn) error

// An opening is what comes before TLS.
type opening func(conn net.Conn) error

// ask sends a request and expects an answer, byte for byte.
func ask(request, answer string) talk {
	return func(conn *tls.Conn) error { return exchange(conn, request, answer) }
}

// exchange is ask, before TLS too.
func exchange(conn net.Conn, request, answer string) error {
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	got := make([]byte, len(answer))
	if n, err := io.ReadFull(conn, got); err != nil {
		return fmt.Errorf("after %q: %w", got[:n], err)
	}
	if string(got) != answer {
		return fmt.Errorf("the server answered %q, not %q", got, answer)
	}
	return nil
}

// all is one talk after the other.
func all(talks ...talk) talk {
	return func(conn *tls.Conn) error {
		for _, t := range talks {
			if err := t(conn); err != nil {
				return err
			}
		}
		return nil
	}
}

// connect makes one connection: an opening, a handshake, the peer verified as
// config says, and a talk.
func connect(ctx context.Context, address string, config *tls.Config, open opening, t talk) (*tls.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if open != nil {
		err = open(conn)
	}
	if err == nil {
		err = secure.HandshakeContext(ctx)
	}
	if err == nil {
		err = t(secure)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// talkDial is connect for a client.
func talkDial(address string, config *tls.Config, open opening, t talk) func(context.Context) (*big.Int, error) {
	return func(ctx context.Context) (*big.Int, error) {
		conn, err := connect(ctx, address, config, open, t)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber, nil
	}
}

// A hold opens a connection that is to outlive rotations; use uses it again.
type hold func(ctx context.Context) (use func() error, err error)

// holdTLS keeps a connection open that begins with one talk and ends with
// another.
func holdTLS(address string, config *tls.Config, before, after talk) hold {
	return holdStartTLS(address, config, nil, before, after)
}

// holdStartTLS is holdTLS with an opening.
func holdStartTLS(address string, config *tls.Config, open opening, before, after talk) hold {
	return func(ctx context.Context) (use func() error, err error) {
		conn, err := connect(ctx, address, config, open, before)
		if err != nil {
			return nil, err
		}
		return func() error {
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			return after(conn)
		}, nil
	}
}

// holdProgram keeps a client program of the server's running that answers
// lines, and asks it the same before and after.
func holdProgram(asked, answer string, argv ...string) hold {
	return func(ctx context.Context) (use func() error, err error) {
		cmd := exec.Command(argv[0], argv[1:]...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(stdout)
		question := func() error {
			if _, err := io.WriteString(stdin, asked+"\n"); err != nil {
				return err
			}
			if !lines.Scan() || lines.Text() != answer {
				return fmt.Errorf("%q is answered with %q, %s", asked, lines.Text(), &stderr)
			}
			return nil
		}
		if err := question(); err != nil {
			stdin.Close()
			return nil, errors.Join(err, cmd.Wait())
		}
		return func() error {
			err := question()
			stdin.Close()
			return errors.Join(err, cmd.Wait())
		}, nil
	}
}

// programDial runs a client program of the server's, which must say what is
// expected and succeed.
func programDial(want string, argv ...string) func(context.Context) (*big.Int, error) {
	return func(ctx context.Context) (*big.Int, error) {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) != want {
			err = fmt.Errorf("it does not say %q", want)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
		return nil, nil
	}
}
