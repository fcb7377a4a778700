package devapi

import (
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
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
// gRPC status at best, is the answer. It sees one request at a time, and must
// not call Faults.
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
// nil ends that at once. It edits a copy, one at a time, and must not call
// Faults. What was sent already stays as it was: Push sends it again.
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

// update changes something and wakes what waits for it.
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
