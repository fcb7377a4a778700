package source

import (
	"context"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/exp/bundle/witbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// refuseNone refuses an answer without a bundle that can be used, for what was
// refused of it, or because every one is empty.
func refuseNone[B any](ctx context.Context, set *bundleSet[B], in map[string][]byte, refused *refusals, none string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case set.hasOne(in):
		return nil
	case refused.first != nil:
		return refused.err()
	}
	return reject(ReasonNoBundle, "%s", none)
}

// An x509BundlesPart is an accepted answer of FetchX509Bundles.
type x509BundlesPart struct {
	out *snapshot.X509Bundles
	set *bundleSet[x509bundle.Bundle]
}

// parseX509Bundles checks an answer of FetchX509Bundles (Workload API 5.2.2).
func parseX509Bundles(ctx context.Context, resp *workload.X509BundlesResponse, prev *x509BundlesPart, _ time.Time) (*x509BundlesPart, error) {
	if prev == nil {
		prev = &x509BundlesPart{out: &snapshot.X509Bundles{}}
	}
	set, refused := parseBundles(ctx, resp.GetBundles(), prev.set, wholeX509Bundle)
	if err := refuseNone(ctx, set, resp.GetBundles(), &refused, "no X.509 bundle with an authority in the answer"); err != nil {
		return nil, err
	}
	crls, err := parseCRLs(ctx, resp.GetCrl(), prev.out.CRLs)
	refused.add(err)
	if set == prev.set && slices.Equal(crls, prev.out.CRLs) {
		return prev, refused.err()
	}
	return &x509BundlesPart{set: set, out: &snapshot.X509Bundles{Bundles: set.sorted, CRLs: crls}}, refused.err()
}

// A jwtBundlesPart is an accepted answer of FetchJWTBundles.
type jwtBundlesPart struct {
	out *snapshot.JWTBundles
	set *bundleSet[jwtbundle.Bundle]
}

// parseJWTBundles checks an answer of FetchJWTBundles (Workload API 6.2.2).
func parseJWTBundles(ctx context.Context, resp *workload.JWTBundlesResponse, prev *jwtBundlesPart, _ time.Time) (*jwtBundlesPart, error) {
	if prev == nil {
		prev = &jwtBundlesPart{}
	}
	set, refused := parseBundles(ctx, resp.GetBundles(), prev.set, parseJWTBundle)
	if err := refuseNone(ctx, set, resp.GetBundles(), &refused, "no JWT bundle in the answer"); err != nil {
		return nil, err
	}
	if set == prev.set {
		return prev, refused.err()
	}
	return &jwtBundlesPart{set: set, out: &snapshot.JWTBundles{Bundles: set.sorted}}, refused.err()
}

// A witBundlesPart is an accepted answer of FetchWITBundles.
type witBundlesPart struct {
	out *snapshot.WITBundles
	set *bundleSet[witbundle.Bundle]
}

// parseWITBundles checks an answer of FetchWITBundles.
func parseWITBundles(ctx context.Context, resp *workload.WITBundlesResponse, prev *witBundlesPart, _ time.Time) (*witBundlesPart, error) {
	if prev == nil {
		prev = &witBundlesPart{}
	}
	in := make(map[string][]byte, len(resp.GetBundles()))
	for key, raw := range resp.GetBundles() {
		in[key] = []byte(raw)
	}
	set, refused := parseBundles(ctx, in, prev.set, parseWITBundle)
	if err := refuseNone(ctx, set, in, &refused, "no WIT bundle in the answer"); err != nil {
		return nil, err
	}
	if set == prev.set {
		return prev, refused.err()
	}
	return &witBundlesPart{set: set, out: &snapshot.WITBundles{Bundles: set.sorted}}, refused.err()
}
