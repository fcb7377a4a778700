package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// inPieces cuts what comes from the network as it comes from there.
func inPieces(raw []byte, size int) (pieces mem.BufferSlice) {
	for len(raw) > 0 {
		n := min(size, len(raw))
		pieces, raw = append(pieces, mem.SliceBuffer(raw[:n])), raw[n:]
	}
	return pieces
}

func TestAnswersAreDecodedUpToABound(t *testing.T) {
	a := newAuthority(t, "example.org")
	answer := x509Answer(issueX509(t, a, testID, ""))
	answer.FederatedBundles = make(map[string][]byte)
	for i := range maxBundles + 500 {
		answer.FederatedBundles[fmt.Sprintf("spiffe://td%d.test", i)] = a.X509Authority().Raw
	}
	raw := wire(t, answer)
	for _, size := range []int{1, 7, 16 << 10, len(raw)} {
		var got workload.X509SVIDResponse
		if err := newBoundedCodec().Unmarshal(inPieces(raw, size), &got); err != nil {
			t.Fatal(err)
		}
		if n := len(got.FederatedBundles); n != maxEntries || !proto.Equal(got.Svids[0], answer.Svids[0]) {
			t.Fatalf("%d bundles in pieces of %d, want %d", n, size, maxEntries)
		}
	}
	// What was not looked at is not gone, and what is there is not flapping.
	var cut workload.X509SVIDResponse
	check(t, newBoundedCodec().Unmarshal(inPieces(raw, 1<<14), &cut))
	part, err := parseX509(t.Context(), &cut, nil, time.Now())
	wantReason(t, err, ReasonTooMany)
	if n := len(part.out.Federated); n != maxBundles {
		t.Errorf("%d federated bundles, want %d", n, maxBundles)
	}
	other := clone(&cut)
	clear(other.FederatedBundles)
	for i := range maxBundles + 1 {
		other.FederatedBundles[fmt.Sprintf("spiffe://other%d.test", i)] = a.X509Authority().Raw
	}
	again, err := parseX509(t.Context(), other, part, time.Now())
	wantReason(t, err, ReasonTooMany)
	if again != part {
		t.Error("of too many bundles, others are taken each time")
	}
}

func TestTooManySVIDs(t *testing.T) {
	a := newAuthority(t, "example.org")
	good := issueX509(t, a, testID, "")
	prev, err := parseX509(t.Context(), x509Answer(good), nil, time.Now())
	check(t, err)
	answer := x509Answer()
	for i := range maxSVIDs {
		answer.Svids = append(answer.Svids, &workload.X509SVID{SpiffeId: fmt.Sprintf("spiffe://example.org/%d", i)})
	}
	answer.Svids = append(answer.Svids, clone(good)) // one too far
	part, err := parseX509(t.Context(), answer, prev, time.Now())
	wantReason(t, err, ReasonGarbage)
	if n := len(part.out.Refused); n != maxSVIDs+1 || !strings.HasSuffix(err.Error(), fmt.Sprintf("(and %d more)", maxSVIDs)) {
		t.Errorf("%d refused: %v", n, err)
	}
	if len(part.out.SVIDs) != 1 || !part.out.SVIDs[0].Stale {
		t.Errorf("%d SVIDs, want the one of before: what is not looked at is not withdrawn", len(part.out.SVIDs))
	}
}

// Parsing ends with its context.
func TestParsingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := newAuthority(t, "example.org")
	bundles := map[string][]byte{"spiffe://example.org": a.X509Authority().Raw}
	_, x509Err := parseX509(ctx, x509Answer(issueX509(t, a, testID, "")), nil, time.Now())
	_, bundleErr := parseX509Bundles(ctx, &workload.X509BundlesResponse{Bundles: bundles}, nil, time.Now())
	_, jwtErr := parseJWTBundles(ctx, &workload.JWTBundlesResponse{Bundles: bundles}, nil, time.Now())
	for _, err := range []error{x509Err, bundleErr, jwtErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
}

// Within the bounds, the codec decodes as protocol buffers are.
func FuzzCodec(f *testing.F) {
	a := newAuthority(f, "example.org")
	good := x509Answer(issueX509(f, a, testID, "one"))
	good.FederatedBundles = map[string][]byte{"spiffe://other.test": []byte("x")}
	good.Crl = [][]byte{{1}, {2}}
	f.Add(wire(f, good), 5)
	f.Add([]byte{0x08, 0x01, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0, 0x0a, 0x00}, 1)
	f.Fuzz(func(t *testing.T, raw []byte, size int) {
		var got, want workload.X509SVIDResponse
		if err := newBoundedCodec().Unmarshal(inPieces(raw, max(size, 1)), &got); err != nil {
			return
		}
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, &want); err != nil {
			return // in what we do not look at
		}
		if len(raw) < maxEntries && !proto.Equal(&got, &want) {
			t.Errorf("decoded as %v, is %v", &got, &want)
		}
	})
}
