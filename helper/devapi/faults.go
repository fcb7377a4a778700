package devapi

import (
	"context"
	"net"
	"path"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// RPC names one of the Workload API's methods.
type RPC string

// The methods of the Workload API.
const (
	FetchX509SVID    RPC = "FetchX509SVID"
	FetchX509Bundles RPC = "FetchX509Bundles"
	FetchJWTSVID     RPC = "FetchJWTSVID"
	FetchJWTBundles  RPC = "FetchJWTBundles"
	ValidateJWTSVID  RPC = "ValidateJWTSVID"
	FetchWITSVID     RPC = "FetchWITSVID"
	FetchWITBundles  RPC = "FetchWITBundles"
)

// RPCs are all methods.
var RPCs = []RPC{FetchX509SVID, FetchX509Bundles, FetchJWTSVID, FetchJWTBundles, ValidateJWTSVID, FetchWITSVID, FetchWITBundles}

// Faults make one Server misbehave, and count what its clients do. The zero
// value does nothing but count. All methods may be called while the server
// serves; where a method takes RPCs, none means all of them.
//
// Faults sit around the server, as interceptors and as a listener: the server
// itself does not know of them.
type Faults struct {
	mu      sync.Mutex
	changed chan struct{} // closed at every change of what follows

	fail    map[RPC]codes.Code
	hung    map[RPC]bool
	ending  map[RPC]bool // streams end after each message
	frozen  bool
	refuse  func(RPC, proto.Message) error
	edits   map[string]func(proto.Message) // by the message's name
	calls   map[*call]bool                 // open ones
	history history
}

// A call is an RPC that has not ended yet.
type call struct {
	rpc RPC
	end context.CancelCauseFunc
}

// An ended is the cause of a call's end that a test wanted.
type ended struct{ code codes.Code }

func (e ended) Error() string { return "ended by a fault: " + e.code.String() }

func (e ended) status() error {
	if e.code == codes.OK {
		return nil
	}
	return status.Error(e.code, "a fault, wanted by a test")
}

// Fail answers every call with the code, and ends open streams with it, until
// Heal. With codes.OK a stream ends as if there was nothing more to say; other
// calls are answered.
func (f *Faults) Fail(code codes.Code, rpcs ...RPC) {
	f.update(func() {
		for _, rpc := range named(rpcs) {
			set(&f.fail, rpc, code)
		}
	})
	f.Break(code, rpcs...)
}

// Deny is Fail with PermissionDenied: no identity is issued to the caller.
func (f *Faults) Deny(rpcs ...RPC) { f.Fail(codes.PermissionDenied, rpcs...) }

// Break ends open calls with the code, once: the next one is answered. With
// codes.OK a stream just ends.
func (f *Faults) Break(code codes.Code, rpcs ...RPC) {
	f.update(func() {
		for c := range f.calls {
			if slices.Contains(named(rpcs), c.rpc) {
				c.end(ended{code})
			}
		}
	})
}

// Refuse asks the function about every request, until Heal: an error of it, a
// gRPC status at best, is the answer. It sees one request at a time.
func (f *Faults) Refuse(check func(RPC, proto.Message) error) {
	f.update(func() { f.refuse = check })
}

// Hang accepts calls and answers none, and sends nothing more on open streams,
// until Heal. The connection stays alive.
func (f *Faults) Hang(rpcs ...RPC) {
	f.update(func() {
		for _, rpc := range named(rpcs) {
			set(&f.hung, rpc, true)
		}
	})
}

// Freeze stops everything on all connections, old and new, without closing one,
// until Heal: as a process does that is stopped, or a peer that is gone.
func (f *Faults) Freeze() { f.update(func() { f.frozen = true }) }

// EndAfterEachMessage ends streams after each message, until Heal.
func (f *Faults) EndAfterEachMessage(rpcs ...RPC) {
	f.update(func() {
		for _, rpc := range named(rpcs) {
			set(&f.ending, rpc, true)
		}
	})
}

// Mutate lets the function edit every outgoing message of its type, until Heal;
// nil ends that at once. It edits a copy, one at a time. What was sent already
// stays as it was: Push sends it again.
func Mutate[T proto.Message](f *Faults, edit func(T)) {
	var zero T
	name := string(zero.ProtoReflect().Descriptor().FullName())
	f.update(func() {
		if edit == nil {
			delete(f.edits, name)
			return
		}
		set(&f.edits, name, func(m proto.Message) { edit(m.(T)) })
	})
}

// Heal ends every fault. Calls that hung go on.
func (f *Faults) Heal() {
	f.update(func() {
		f.fail, f.hung, f.ending, f.edits = nil, nil, nil, nil
		f.frozen, f.refuse = false, nil
	})
}

func named(rpcs []RPC) []RPC {
	if len(rpcs) == 0 {
		return RPCs
	}
	return rpcs
}

func set[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[k] = v
}

// update changes something and wakes whoever waits for it.
func (f *Faults) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// until waits for a condition, which is asked after every update.
func (f *Faults) until(done <-chan struct{}, holds func() bool) bool {
	for {
		f.mu.Lock()
		if holds() {
			f.mu.Unlock()
			return true
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}

// serverOptions returns what puts the faults around a server.
func (f *Faults) serverOptions() []grpc.ServerOption {
	if f == nil {
		return nil
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(f.unary),
		grpc.ChainStreamInterceptor(f.stream),
	}
}

// begin opens a call and says whether it may go on.
func (f *Faults) begin(ctx context.Context, method string) (context.Context, *call, error) {
	ctx, end := context.WithCancelCause(ctx)
	c := &call{rpc: RPC(path.Base(method)), end: end}
	var fail error
	f.update(func() {
		set(&f.calls, c, true)
		f.history.attempt(c.rpc, time.Now())
		if code, ok := f.fail[c.rpc]; ok {
			fail = ended{code}
		}
	})
	if fail == nil {
		fail = f.hang(ctx, c.rpc)
	}
	return ctx, c, fail
}

func (f *Faults) end(c *call) {
	c.end(nil)
	f.update(func() { delete(f.calls, c) })
}

// hang returns when the RPC does not hang, or why it never will.
func (f *Faults) hang(ctx context.Context, rpc RPC) error {
	if !f.until(ctx.Done(), func() bool { return !f.hung[rpc] }) {
		return context.Cause(ctx)
	}
	return nil
}

// outcome is what a call returns: what a fault wants, or else what the handler
// did.
func outcome(ctx context.Context, err error) error {
	for _, e := range []error{context.Cause(ctx), err} {
		if e, ok := e.(ended); ok {
			return e.status()
		}
	}
	return err
}

func (f *Faults) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	ctx, c, err := f.begin(ctx, info.FullMethod)
	defer f.end(c)
	if err == nil {
		err = f.check(c.rpc, req)
	}
	if err = outcome(ctx, err); err != nil {
		return nil, err
	}
	resp, err := handle(ctx, req)
	if err != nil {
		return nil, err
	}
	f.sent(c.rpc)
	return f.edited(resp), nil
}

func (f *Faults) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx, c, err := f.begin(ss.Context(), info.FullMethod)
	defer f.end(c)
	if err == nil {
		err = handle(srv, &faultyStream{ServerStream: ss, ctx: ctx, call: c, faults: f})
	}
	return outcome(ctx, err)
}

// A faultyStream is a stream under faults.
type faultyStream struct {
	grpc.ServerStream
	ctx    context.Context
	call   *call
	faults *Faults
}

func (s *faultyStream) Context() context.Context { return s.ctx }

func (s *faultyStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return s.faults.check(s.call.rpc, m)
}

func (s *faultyStream) SendMsg(m any) error {
	f, rpc := s.faults, s.call.rpc
	if err := f.hang(s.ctx, rpc); err != nil {
		return err
	}
	if err := s.ServerStream.SendMsg(f.edited(m)); err != nil {
		return err
	}
	f.sent(rpc)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ending[rpc] {
		s.call.end(ended{codes.OK})
	}
	return nil
}

func (f *Faults) check(rpc RPC, req any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := req.(proto.Message); ok && f.refuse != nil {
		return f.refuse(rpc, m)
	}
	return nil
}

func (f *Faults) edited(resp any) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := resp.(proto.Message)
	if !ok {
		return resp
	}
	edit := f.edits[string(m.ProtoReflect().Descriptor().FullName())]
	if edit == nil {
		return resp
	}
	m = proto.Clone(m)
	edit(m)
	return m
}

// listener puts the faults around a listener.
func (f *Faults) listener(l net.Listener) net.Listener {
	if f == nil {
		return l
	}
	return &faultyListener{Listener: l, faults: f}
}
