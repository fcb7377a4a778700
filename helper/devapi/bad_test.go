//go:build unix

package devapi_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// Each bad answer must be bad in the eyes of go-spiffe.
func TestBadAnswersAreBad(t *testing.T) {
	s, f := devapitest.Start(t, devapi.Config{})
	client, ctx := stub(t, s), withHeader(deadline(t))
	// go-spiffe does not look at these.
	unnoticed := []string{"leaf for code signing", "leaf until the year 10000", "hint too long", "expiry in milliseconds", "critical extension"}
	check := func(name string, do func() error) {
		t.Helper()
		if err := do(); err == nil && !slices.Contains(unnoticed, name) {
			t.Errorf("%s: accepted", name)
		}
		f.Heal()
		if err := do(); err != nil {
			t.Errorf("%s: still bad after healing: %v", name, err)
		}
	}
	badX509, err := s.BadX509SVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badX509 {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error { return fetchX509(ctx, client) })
	}
	badJWT, err := s.BadJWTSVIDs("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badJWT {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error {
			resp, err := client.FetchJWTSVID(ctx, &workload.JWTSVIDRequest{Audience: []string{"a"}})
			if err != nil || len(resp.Svids) == 0 {
				return errors.Join(err, errors.New("no SVIDs"))
			}
			svid, err := jwtsvid.ParseInsecure(resp.Svids[0].Svid, []string{"a"})
			if err == nil && svid.ID.String() != resp.Svids[0].SpiffeId {
				err = errors.New("another SPIFFE ID")
			}
			return err
		})
	}
	badWIT, err := s.BadWITSVIDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range badWIT {
		devapi.Mutate(f, b.Edit)
		check(b.Name, func() error { return fetchWIT(ctx, s) })
	}
}

func fetchX509(ctx context.Context, client workload.SpiffeWorkloadAPIClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.FetchX509SVID(ctx, &workload.X509SVIDRequest{})
	if err != nil {
		return err
	}
	resp, err := stream.Recv()
	if err != nil {
		return err
	}
	if len(resp.Svids) == 0 {
		return errors.New("no SVIDs")
	}
	v := resp.Svids[0]
	svid, err := x509svid.ParseRaw(v.X509Svid, v.X509SvidKey)
	if err != nil {
		return err
	}
	if svid.ID.String() != v.SpiffeId {
		return errors.New("another SPIFFE ID")
	}
	bundle, err := x509bundle.ParseRaw(spiffeid.RequireTrustDomainFromString("example.org"), v.Bundle)
	if err != nil {
		return err
	}
	_, _, err = x509svid.Verify(svid.Certificates, bundle)
	return err
}

func fetchWIT(ctx context.Context, s *devapi.Server) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr(s.Addr()))
	if err != nil {
		return err
	}
	defer client.Close()
	svid, err := client.FetchWITSVID(ctx, "")
	if err != nil {
		return err
	}
	if !svid.PublicKey.(equaler).Equal(svid.PrivateKey.(signer).Public()) {
		return errors.New("another key")
	}
	return nil
}
