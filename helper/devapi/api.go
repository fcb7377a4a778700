package devapi

import (
	"context"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

// api is the seven RPCs, each an answer to what the server currently says.
type api struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	*Server
}

var errNoIdentity = status.Error(codes.PermissionDenied, "no identity issued")

// stream sends one part of the answers, and again whenever it has changed. A
// slow client misses what was superseded while it was busy, never the newest.
func stream[T any](s *Server, to grpc.ServerStreamingServer[T], part func(*answers) *T) error {
	var sent *T
	for {
		current := s.current.Load()
		if len(current.svids) == 0 {
			return errNoIdentity
		}
		if next := part(current); next != sent {
			if err := to.Send(next); err != nil {
				return err
			}
			sent = next
		}
		select {
		case <-current.superseded:
		case <-to.Context().Done():
			return status.FromContextError(to.Context().Err()).Err()
		}
	}
}

func (a api) FetchX509SVID(_ *workload.X509SVIDRequest, to grpc.ServerStreamingServer[workload.X509SVIDResponse]) error {
	return stream(a.Server, to, func(now *answers) *workload.X509SVIDResponse { return now.x509SVIDs })
}

func (a api) FetchX509Bundles(_ *workload.X509BundlesRequest, to grpc.ServerStreamingServer[workload.X509BundlesResponse]) error {
	return stream(a.Server, to, func(now *answers) *workload.X509BundlesResponse { return now.bundles.x509 })
}

func (a api) FetchJWTBundles(_ *workload.JWTBundlesRequest, to grpc.ServerStreamingServer[workload.JWTBundlesResponse]) error {
	return stream(a.Server, to, func(now *answers) *workload.JWTBundlesResponse { return now.bundles.jwt })
}

func (a api) FetchWITBundles(_ *workload.WITBundlesRequest, to grpc.ServerStreamingServer[workload.WITBundlesResponse]) error {
	return stream(a.Server, to, func(now *answers) *workload.WITBundlesResponse { return now.bundles.wit })
}

func (a api) FetchWITSVID(req *workload.WITSVIDRequest, to grpc.ServerStreamingServer[workload.WITSVIDResponse]) error {
	wanted, err := requestedID(req.SpiffeId)
	if err != nil {
		return err
	}
	if wanted.IsZero() {
		return stream(a.Server, to, func(now *answers) *workload.WITSVIDResponse { return now.witSVIDs })
	}
	if len(selectWIT(a.current.Load().witSVIDs, wanted).Svids) == 0 {
		return errNoIdentity
	}
	var all, selected *workload.WITSVIDResponse
	return stream(a.Server, to, func(now *answers) *workload.WITSVIDResponse {
		if now.witSVIDs != all {
			all, selected = now.witSVIDs, selectWIT(now.witSVIDs, wanted)
		}
		return selected
	})
}

func selectWIT(from *workload.WITSVIDResponse, id spiffeid.ID) *workload.WITSVIDResponse {
	selected := &workload.WITSVIDResponse{}
	for _, svid := range from.Svids {
		if svid.SpiffeId == id.String() {
			selected.Svids = append(selected.Svids, svid)
		}
	}
	return selected
}

func (a api) FetchJWTSVID(_ context.Context, req *workload.JWTSVIDRequest) (*workload.JWTSVIDResponse, error) {
	if len(req.Audience) == 0 || slices.Contains(req.Audience, "") {
		return nil, status.Error(codes.InvalidArgument, "audience must be specified, and none may be empty")
	}
	wanted, err := requestedID(req.SpiffeId)
	if err != nil {
		return nil, err
	}
	now := a.config.Now()
	resp := &workload.JWTSVIDResponse{}
	for _, t := range a.current.Load().tokens {
		if !wanted.IsZero() && t.ID != wanted {
			continue
		}
		svid, err := t.authority.IssueJWTSVID(t.Identity, req.Audience, now, fullSecond(now.Add(a.config.JWTTTL)))
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		resp.Svids = append(resp.Svids, svid)
	}
	if len(resp.Svids) == 0 {
		return nil, errNoIdentity
	}
	return resp, nil
}

func (a api) ValidateJWTSVID(_ context.Context, req *workload.ValidateJWTSVIDRequest) (*workload.ValidateJWTSVIDResponse, error) {
	if req.Audience == "" || req.Svid == "" {
		return nil, status.Error(codes.InvalidArgument, "audience and svid must be specified")
	}
	current := a.current.Load()
	if len(current.svids) == 0 {
		return nil, errNoIdentity
	}
	svid, err := jwtsvid.ParseAndValidate(req.Svid, current.bundles.jwtSet, []string{req.Audience})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := structpb.NewStruct(svid.Claims)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "claims: %v", err)
	}
	return &workload.ValidateJWTSVIDResponse{SpiffeId: svid.ID.String(), Claims: claims}, nil
}

// requestedID parses the optional SPIFFE ID of a request; zero means any.
func requestedID(id string) (spiffeid.ID, error) {
	if id == "" {
		return spiffeid.ID{}, nil
	}
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return spiffeid.ID{}, status.Errorf(codes.InvalidArgument, "spiffe_id %q: %v", id, err)
	}
	return parsed, nil
}

// checkHeader enforces the security header (SPIFFE Workload Endpoint 6), which
// keeps a request forged through another program's HTTP client out.
func checkHeader(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("workload.spiffe.io"); len(v) != 1 || v[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing from request: workload.spiffe.io must be true")
	}
	return nil
}

// isHealth reports whether a method is of gRPC's health service, which a SPIRE
// agent serves on the same socket, for callers that know no header.
func isHealth(method string) bool {
	return strings.HasPrefix(method, "/"+healthpb.Health_ServiceDesc.ServiceName+"/")
}

func checkUnaryHeader(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := checkHeader(ctx); err != nil && !isHealth(info.FullMethod) {
		return nil, err
	}
	return handle(ctx, req)
}

func checkStreamHeader(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := checkHeader(ss.Context()); err != nil && !isHealth(info.FullMethod) {
		return err
	}
	return handle(srv, ss)
}
