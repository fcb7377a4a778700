// Command service is the least that a service does with its certificate: it
// loads the pair at start and again at every SIGHUP, and says which one it has.
package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: service DIRECTORY")
		os.Exit(2)
	}
	load(os.Args[1], "started")
	for s := range signals {
		if s != syscall.SIGHUP {
			fmt.Printf("service: %v, good bye\n", s)
			return
		}
		load(os.Args[1], "told to reload")
	}
}

// load reads certificate and key through one resolution of "..data", so that
// both are of one generation even while a rotation is published.
func load(dir, why string) {
	generation, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(generation, "tls.crt"), filepath.Join(generation, "tls.key"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
	leaf := pair.Leaf
	fmt.Printf("service: %s: now serving %v, serial %X, good until %s\n", // as openssl writes it
		why, leaf.URIs[0], leaf.SerialNumber.Bytes(), leaf.NotAfter.Local().Format(time.TimeOnly))
}
