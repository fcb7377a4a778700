package source

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"google.golang.org/protobuf/proto"
)

var (
	testTD = spiffeid.RequireTrustDomainFromString("example.org")
	testID = spiffeid.RequireFromString("spiffe://example.org/web")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clone copies a message as a server that sends it again does: nothing is
// shared but the bytes' values.
func clone[M proto.Message](m M) M { return proto.Clone(m).(M) }

func newAuthority(t testing.TB, td string) *devapi.Authority {
	t.Helper()
	a, err := devapi.NewAuthority(spiffeid.RequireTrustDomainFromString(td), devapi.AuthorityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// issueX509 issues an X.509-SVID that is valid for an hour from now.
func issueX509(t testing.TB, a *devapi.Authority, id spiffeid.ID, hint string, edit ...func(*x509.Certificate)) *workload.X509SVID {
	t.Helper()
	now := time.Now()
	svid, err := a.IssueX509SVID(devapi.Identity{ID: id, Hint: hint}, now.Add(-time.Minute), now.Add(time.Hour), edit...)
	if err != nil {
		t.Fatal(err)
	}
	return svid
}

func x509Answer(svids ...*workload.X509SVID) *workload.X509SVIDResponse {
	return &workload.X509SVIDResponse{Svids: svids}
}
