package proof

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// Want is what the service should present.
type Want struct {
	// Leaves are what was published: the service should present one of them.
	// There is at least one.
	Leaves []*x509.Certificate
	// Authorities are those of the bundles that were published with them. They count
	// with ClientCA.
	Authorities []*x509.Certificate
	// Notice is what a command gets to know of the publish.
	Notice hook.Notice
	// Published is when it came to be on disk; zero means now. Latency counts
	// from here.
	Published time.Time
	// Certificate returns what we show when the service asks for a client
	// certificate; nil means nothing.
	Certificate func() (*tls.Certificate, error)
	// Untold, unless nil, returns why the service could not be told of the new
	// files; empty if it was told.
	Untold func() string
}

// holds reports whether a leaf is one of those wanted: the same certificate,
// byte for byte. Its fingerprint would say no more.
func (w Want) holds(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(w.Leaves, leaf.Equal)
}

// Serials are the wanted leaves' serial numbers, for messages.
func (w Want) Serials() string {
	var all []string
	for _, leaf := range w.Leaves {
		all = append(all, snapshot.Serial(leaf.SerialNumber))
	}
	return strings.Join(all, " or ")
}

// A Result is how a proof went.
type Result struct {
	// Proven says that the service presented what was wanted.
	Proven bool
	// Latency is from Published to the handshake that proved it.
	Latency time.Duration
	// Serial is the serial number that was presented last, before an escalation
	// too; empty if nothing was.
	Serial string
	// Unseen are the serial numbers of the authorities that the service may trust or
	// not: neither has it named them, nor has it accepted an SVID of theirs.
	Unseen []string
	// Attempts counts the connections, or the runs of a command where there are none.
	Attempts int
	// Escalated are the escalations that were needed.
	Escalated []Escalation

	right bool // Serial is that of a wanted leaf
	looks int  // that have proven nothing
}

// before is what of a result counts when there is another look.
func (r Result) before() Result { return Result{Serial: r.Serial, right: r.right, looks: r.looks} }

// An Error is a proof that failed.
type Error struct {
	Address string // where we dialled; empty: only a command was run
	Want    string // the serial number that was published
	Served  string // the one that was presented last; empty if none was
	Right   bool   // that is a published one: Err says what else is wrong
	Waited  time.Duration
	Err     error  // why the last connection or command proved nothing; nil if it showed a certificate
	Untold  string // why the service could not be told of the new files; empty if it was told
}

func (e *Error) Error() string {
	var said string
	switch {
	case e.Err == nil && e.Untold == "":
		return fmt.Sprintf("%s still serves serial %s, not the published %s, after %v: it has not taken up the new files; look at its reload and its paths",
			e.Address, e.Served, e.Want, e.Waited)
	case e.Address == "":
		said = fmt.Sprintf("serial %s is published and not proven after %v: %v", e.Want, e.Waited, e.Err)
	case e.Err == nil:
		said = fmt.Sprintf("%s still serves serial %s, not the published %s, after %v", e.Address, e.Served, e.Want, e.Waited)
	case e.Right:
		said = fmt.Sprintf("%s has served the published serial %s, and is not proven after %v: %v", e.Address, e.Served, e.Waited, e.Err)
	case e.Served != "":
		said = fmt.Sprintf("%s served serial %s, not the published %s, and does not answer after %v: %v",
			e.Address, e.Served, e.Want, e.Waited, e.Err)
	default:
		said = fmt.Sprintf("%s does not show a certificate (serial %s is published) after %v: %v",
			e.Address, e.Want, e.Waited, e.Err)
	}
	if e.Untold != "" {
		said += "; it could not be told of the new files: " + e.Untold
	}
	return said
}

func (e *Error) Unwrap() error { return e.Err }
