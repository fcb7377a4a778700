//go:build linux

package examples_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// peerService, as its first argument, makes the test's binary a service that trusts
// another one, and is trusted by it: each asks the other again and again, over a
// connection of its own, with mutual TLS. It takes up new files at SIGHUP.
const peerService = "peer-service"

// servePeer serves at an address, with the files of a directory, and asks the
// service at another address, until SIGUSR1. Then it says how that went, and goes on
// serving until SIGTERM: the other one may still ask.
func servePeer(address, dir, other string) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM)
	var config atomic.Pointer[tls.Config]
	load := func() {
		c, err := peerConfig(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		config.Store(c)
	}
	load()
	listener, err := tls.Listen("tcp", address, &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config.Load(), nil },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go answerPeers(listener)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan struct{})
	go func() { askPeer(ctx, other, &config); close(done) }()
	for s := range signals {
		switch s {
		case syscall.SIGHUP:
			load()
		case syscall.SIGUSR1:
			stop()
			<-done
		default:
			return
		}
	}
}

// peerConfig is what the files of one generation say.
func peerConfig(dir string) (*tls.Config, error) {
	generation, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(generation, "svid.pem"), filepath.Join(generation, "svid_key.pem"))
	if err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(filepath.Join(generation, "svid_bundle.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost",
		ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true,
	}, nil
}

// answerPeers says a word to each client that it lets in.
func answerPeers(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.WriteString(conn, "welcome") // the client says what became of it
			conn.Close()
		}()
	}
}

// askPeer says which certificates it is shown, one by one, and in the end how many
// of its connections have failed.
func askPeer(ctx context.Context, other string, config *atomic.Pointer[tls.Config]) {
	asked, failed, last := 0, 0, ""
	var first error
	for ctx.Err() == nil {
		conn, err := net.Dial("tcp", other)
		if err == nil {
			asked++
			var serial string
			if serial, err = welcomed(tls.Client(conn, config.Load())); err != nil {
				failed++
				if first == nil {
					first = err
				}
			} else if serial != last {
				last = serial
				fmt.Fprintln(os.Stderr, "peer is shown", serial)
			}
			conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // between two questions
		}
	}
	fmt.Fprintf(os.Stderr, "peer asked %d times, failed %d times, first: %v\n", asked, failed, first)
}

// welcomed makes a handshake and waits for the other's word: only that shows that
// our own certificate was accepted.
func welcomed(conn *tls.Conn) (serial string, err error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	if word, err := io.ReadAll(conn); err != nil || string(word) != "welcome" {
		return "", errors.Join(err, fmt.Errorf("it says %q", word))
	}
	return snapshot.Serial(conn.ConnectionState().PeerCertificates[0].SerialNumber), nil
}
