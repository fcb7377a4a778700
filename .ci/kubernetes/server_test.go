// Package kubernetes shows what is in examples/kubernetes to a real API server: one of
// Kubernetes' own, over the distribution's etcd, on loopback. Nothing runs the pods:
// what a kubelet would do with them is beyond these tests.
//
// The server comes from the module in apiserver. `make test-kubernetes` builds it where
// it is missing, and then runs the tests. They need no root.
package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// examples is the folder that is under test.
const examples = "../../examples/kubernetes"

// patience is how long the server may take to start, and to notice what has changed.
const patience = 2 * time.Minute

// cluster is the API server that the tests share.
var cluster *server

// A server is a running API server, which knows one user.
type server struct {
	url    string
	client http.Client
	token  string
	known  map[string]map[string]resource // by apiVersion and kind, as they become known
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests beside etcd and an API server, which end with them.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kubernetes-")
	if err != nil {
		return complain(err)
	}
	defer os.RemoveAll(dir)
	store, err := startEtcd(dir)
	if err != nil {
		return complain(err)
	}
	defer store.end()
	api, err := startAPIServer(dir, store.url)
	if err != nil {
		return complain(err)
	}
	defer api.end()
	cluster = api.server
	if err := cluster.setUp(); err != nil {
		return complain(err)
	}
	return m.Run()
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// A child is a program that runs beside the tests.
type child struct {
	*server
	cmd    *exec.Cmd
	ended  chan struct{}
	log    string
	exited error // once ended is closed
}

// start starts a program, whose output goes to a file.
func start(dir, name string, args ...string) (*child, error) {
	out, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := &child{cmd: exec.Command(name, args...), ended: make(chan struct{}), log: out.Name()}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also when the tests are killed
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.exited = c.cmd.Wait(); close(c.ended) }()
	return c, nil
}

func (c *child) end() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// ready waits until the program answers at a URL.
func (c *child) ready(client *http.Client, url, token string) error {
	last := errors.New("it has not been asked")
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-c.ended:
			said, _ := os.ReadFile(c.log)
			return fmt.Errorf("%s has ended: %v\n%s", c.cmd.Path, c.exited, tail(said))
		case <-time.After(100 * time.Millisecond):
		}
		if last = answers(client, url, token); last == nil {
			return nil
		}
	}
	c.end()
	said, _ := os.ReadFile(c.log)
	return fmt.Errorf("%s is not ready: %v\n%s", c.cmd.Path, last, tail(said))
}

func answers(client *http.Client, url, token string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// tail is the end of what a program has said.
func tail(said []byte) []byte { return said[max(0, len(said)-4000):] }

// onFreePort starts a program on a port that is free. Another program may take the
// port before this one does: then it tries again with another port.
func onFreePort(attempt func(port string) (*child, error)) (c *child, err error) {
	for range 3 {
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		l.Close()
		if c, err = attempt(port); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func startEtcd(dir string) (*child, error) {
	return onFreePort(func(port string) (*child, error) {
		url := "http://127.0.0.1:" + port
		data, err := os.MkdirTemp(dir, "etcd-")
		if err != nil {
			return nil, err
		}
		// The peers' address is a socket in the directory: there are none.
		c, err := start(dir, "etcd", "--data-dir", data, "--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", "unix://peers:"+port, "--unsafe-no-fsync")
		if err != nil {
			return nil, fmt.Errorf("%w (Debian's package is etcd-server)", err)
		}
		c.server = &server{url: url}
		return c, c.ready(http.DefaultClient, url+"/health", "")
	})
}

func startAPIServer(dir, etcd string) (*child, error) {
	program := os.Getenv("KUBE_APISERVER")
	if program == "" {
		return nil, errors.New("KUBE_APISERVER does not say where kube-apiserver is: run make test-kubernetes")
	}
	const token = "a-token-of-the-tests"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	keyFile, tokenFile := filepath.Join(dir, "sa.key"), filepath.Join(dir, "tokens.csv")
	err = errors.Join(
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(tokenFile, []byte(token+`,tests,1,"system:masters"`+"\n"), 0o600))
	if err != nil {
		return nil, err
	}
	return onFreePort(func(port string) (*child, error) {
		certs, err := os.MkdirTemp(dir, "certs-")
		if err != nil {
			return nil, err
		}
		c, err := start(dir, program, "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port,
			"--cert-dir", certs, "--token-auth-file", tokenFile, "--authorization-mode", "RBAC",
			"--disable-admission-plugins", "ServiceAccount", "--service-account-issuer", "https://kubernetes.default.svc",
			"--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
			"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none")
		if err != nil {
			return nil, err
		}
		c.server = &server{url: "https://127.0.0.1:" + port, token: token, known: map[string]map[string]resource{}}
		// It has issued its certificate itself, a moment ago.
		c.server.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		return c, c.ready(&c.server.client, c.server.url+"/readyz", token)
	})
}
