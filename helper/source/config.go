package source

import (
	"context"
	"net"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Config says where the Workload API is and what is wanted of it.
type Config struct {
	// Address is a URI as in the SPIFFE Workload Endpoint standard (4):
	// unix:///path, tcp://IP:port, or npipe:name on Windows.
	Address string
	// Dial, unless nil, makes each connection in place of one to Address, which
	// then is a name for logs: for a Workload API that is reached in another way,
	// or is in the same process.
	Dial func(context.Context) (net.Conn, error)
	// Needs is what the outputs need; nothing else is asked for.
	Needs Needs
}

// Needs are the profiles and tokens that some output needs.
type Needs struct {
	X509        bool
	X509Bundles bool
	JWTSVIDs    []snapshot.JWTRequest
	JWTBundles  bool
	WIT         bool
	WITBundles  bool
	// Dispensable are the profiles whose lack ends nothing: not even an answer
	// that no retry will mend is fatal.
	Dispensable []Profile
}

// OnRevoked says what becomes of published files when the Workload API refuses
// the identity that they belong to. The source does not look at it.
type OnRevoked string

const (
	OnRevokedKeep   OnRevoked = ""       // files stay, ready turns false
	OnRevokedRemove OnRevoked = "remove" // files go
	OnRevokedStop   OnRevoked = "stop"   // files go, and the process ends
)
