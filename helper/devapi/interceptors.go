package devapi

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

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
