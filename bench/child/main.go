//go:build linux

// Command child is the process of the bench. It reads its certificate and key
// at its start and at every SIGHUP, and reports which certificate it has. It
// ends when the other end of the report is closed.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP)
	report, err := net.Dial("unix", os.Getenv("BENCH_REPORT"))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, report)
		os.Exit(0)
	}()
	for {
		leaf, err := read(os.Getenv("BENCH_PAIR"))
		if err != nil {
			log.Print(err) // a pair that is half there: no report, and the bench waits in vain
		} else if _, err := fmt.Fprintf(report, "%x\n", sha256.Sum256(leaf)); err != nil {
			return
		}
		<-signals
	}
}

func read(pair string) (leaf []byte, err error) {
	cert, err := os.ReadFile(pair + ".pem")
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(pair + "_key.pem")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(cert)
	if block == nil || !bytes.Contains(key, []byte("END")) {
		return nil, errors.New("the pair is not whole")
	}
	return block.Bytes, nil
}
