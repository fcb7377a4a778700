//go:build linux

package examples_test

import (
	"crypto/x509"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
)

// startAPI serves a development Workload API that rotates only when the test
// says so.
func startAPI(t *testing.T, c devapi.Config) *devapi.Server {
	t.Helper()
	c.ManualRotation = true
	c.SocketMode = 0o666 // servers run as users of their own
	api, err := devapi.New(c)
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir may be too long for a socket, and closed to other users.
	dir, err := os.MkdirTemp("", "api-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := api.Start("unix://" + filepath.Join(dir, "api.sock")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Close(); err != nil {
			t.Error(err)
		}
	})
	return api
}

// identity is an identity in the development trust domain.
func identity(name string, dns ...string) devapi.Identity {
	return devapi.Identity{ID: spiffeid.RequireFromPath(devapi.DefaultID.TrustDomain(), "/"+name), DNS: dns}
}

// rotate pushes new SVIDs and returns the serial of the default identity's.
func rotate(t *testing.T, api *devapi.Server) *big.Int {
	t.Helper()
	return api.Rotate()[0].Certificates[0].SerialNumber
}

// roots are the authorities of the default identity's trust domain.
func roots(t *testing.T, api *devapi.Server) *x509.CertPool {
	t.Helper()
	bundle, err := api.X509Bundles().GetX509BundleForTrustDomain(api.SVIDs()[0].ID.TrustDomain())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, a := range bundle.X509Authorities() {
		pool.AddCert(a)
	}
	return pool
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
