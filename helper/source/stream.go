package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// answerTimeout bounds the wait for the first answer. It is long because an
// agent may first have to find out what process asks: on Kubernetes that takes up
// to half a minute, unless it is configured to try for longer. So each time that
// nothing came it is twice as long, up to maxAnswerTimeout.
const (
	answerTimeout    = 45 * time.Second
	maxAnswerTimeout = 8 * answerTimeout
)

// A stream keeps one streaming profile going. R is the answer, P what a good
// one becomes.
type stream[R, P any] struct {
	key   key
	board *board
	conn  *connection
	// fatal ends the source.
	fatal func(error)

	open func(context.Context, workload.SpiffeWorkloadAPIClient) (grpc.ServerStreamingClient[R], error)
	// parse returns what is good of an answer, or nil, and why the rest is not.
	// It gives up when its context ends.
	parse func(context.Context, *R, *P, time.Time) (*P, error)
	store func(*snapshot.Snapshot, *P)
	// expiry says when a part has to have been followed by another; nil:
	// never.
	expiry func(*P) time.Time
	// svids counts the SVIDs of a part that are fresh, and those of the answer
	// that were refused; nil: it has no SVIDs.
	svids func(*P) (fresh, refused int)

	last     *P
	retry    *retrier
	patience time.Duration // for the first answer
	renewed  bool          // the connection, for want of one
}

// Why a session ended that neither the server nor the link ended.
var (
	errNoAnswer = errors.New("no answer")
	errRecheck  = errors.New("an answer was refused: asking again")
	errOverdue  = errors.New("nothing new although the SVID nears its end: connecting anew")
)

// run opens the stream again and again, until ctx ends.
func (s *stream[R, P]) run(ctx context.Context) {
	s.retry = newRetrier()
	s.patience = answerTimeout
	for {
		l, ok := s.conn.link(ctx)
		if !ok {
			return
		}
		began := time.Now()
		recovered := s.board.recovered() // others may be first to hear that all is well
		err := s.session(ctx, l)
		switch {
		case ctx.Err() != nil:
			return
		case l.isGone():
			s.board.lost(s.key)
		case errors.Is(err, errRecheck):
		case errors.Is(err, errOverdue):
			s.conn.renew(ctx, l)
		default:
			c := s.report(err)
			if errors.Is(err, errNoAnswer) {
				s.patience = min(2*s.patience, maxAnswerTimeout)
				// The connection may be dead. If another one is no better, or
				// others are answered on it, it is this stream alone.
				if !s.renewed && !l.answeredSince(began) {
					s.renewed = true
					s.conn.renew(ctx, l)
				}
			}
			if s.retry.answered() {
				recovered = nil // a server that answers once and hangs up
			}
			s.pause(ctx, l, c, began, recovered)
		}
	}
}

// session opens the stream and receives until it ends. It leaves s.last as the
// last good answer.
func (s *stream[R, P]) session(ctx context.Context, l *link) error {
	ctx, cancel := context.WithCancelCause(withHeader(ctx))
	defer cancel(nil)
	silent := fmt.Errorf("%w within %s", errNoAnswer, s.patience)
	alarm := time.AfterFunc(s.patience, func() { cancel(silent) })
	defer func() { alarm.Stop() }()

	s.board.attempted(s.key)
	in, err := s.open(ctx, l.api)
	for err == nil {
		var resp *R
		if resp, err = in.Recv(); err != nil {
			break
		}
		alarm.Stop()
		now := time.Now()
		l.answered(now)
		if wait, cause := s.receive(ctx, resp, now); cause != nil {
			alarm = time.AfterFunc(wait, func() { cancel(cause) })
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if fromServer(err) {
		l.answered(time.Now())
	}
	return err
}

// receive checks an answer and stores it if it is good. It returns how long to
// wait for the next one, and what it means if there is none.
func (s *stream[R, P]) receive(ctx context.Context, resp *R, now time.Time) (time.Duration, error) {
	part, err := s.parse(ctx, resp, s.last, now)
	switch {
	case ctx.Err() != nil:
		return 0, nil // which ends the stream too
	case part == nil:
		return recheck(err, s.retry.failed(s.report(err), now), now), errRecheck
	}
	s.patience, s.renewed = answerTimeout, false
	var store func(*snapshot.Snapshot)
	if part != s.last {
		s.last = part
		store = func(snap *snapshot.Snapshot) { s.store(snap, part) }
	}
	if s.svids != nil {
		switch fresh, refused := s.svids(part); {
		case fresh == 0:
			s.board.store(s.key, store)
			return recheck(err, s.retry.failed(s.report(err), now), now), errRecheck
		case refused > 0: // worth asking again, but not often: the others are good
			s.board.good(s.key, store, err)
			return recheck(err, s.retry.failed(invalid, now), now), errRecheck
		}
	}
	s.board.good(s.key, store, err)
	s.retry.good(now)
	if s.expiry == nil {
		return 0, nil
	}
	return overdue(s.expiry(part), now), errOverdue
}

// overdue returns after how long without news an SVID is suspicious. Issuers
// renew at half of its life; a stream that is silent after three quarters of
// what remains may be dead.
func overdue(expiry, now time.Time) time.Duration {
	remaining := expiry.Sub(now)
	if remaining <= 0 {
		return 30 * time.Second
	}
	return max(remaining/4*3, 5*time.Second)
}

// report notes a failure and returns its class.
func (s *stream[R, P]) report(err error) class {
	return report(s.board, s.key, err, s.fatal)
}

// pause waits as the policy says. A new link cuts that short, and so does the
// recovery of another profile: what it was denied for may be over.
func (s *stream[R, P]) pause(ctx context.Context, l *link, c class, began time.Time, recovered <-chan struct{}) {
	now := time.Now()
	if c == denied && now.Sub(l.made) < hopeful {
		c = deniedEarly
	}
	timer := time.NewTimer(s.retry.failed(c, now))
	defer timer.Stop()
	expired := timer.C
	if c == unsupported || c == invalid {
		recovered = nil
	}
	if c == unsupported {
		expired = nil
	}
	select {
	case <-expired:
	case <-recovered:
		timer.Reset(time.Until(began.Add(leastRetry)))
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	case <-l.gone:
		s.board.lost(s.key)
	case <-ctx.Done():
	}
}

// report notes a failure on the board and returns its class. An error that no
// retry will mend is fatal, unless something runs already that depends on us.
func report(b *board, k key, err error, fatal func(error)) class {
	switch reasonOf(err) {
	case "":
	case ReasonAbsent: // the same as PermissionDenied, among several identities
		b.bad(k, StateDenied, codes.OK, err)
		return denied
	default:
		b.bad(k, StateRejected, codes.OK, err)
		return transient
	}
	code, c := codeOf(err), classify(codeOf(err))
	state := StateFailed
	switch c {
	case denied:
		state = StateDenied
	case unsupported:
		state = StateUnsupported
	}
	b.bad(k, state, code, tidy(err))
	if (c == invalid || c == unsupported) && !b.lenient(k) {
		fatal(&FatalError{Profile: k.String(), Code: code, Err: tidy(err)})
	}
	return c
}

// codeOf returns the gRPC code of an error that ended a stream or call.
func codeOf(err error) codes.Code {
	switch {
	case errors.Is(err, errNoAnswer):
		return codes.DeadlineExceeded
	case errors.Is(err, io.EOF):
		return codes.OK
	default:
		return status.Code(err)
	}
}

// fromServer reports whether err shows that the server is alive.
func fromServer(err error) bool {
	return err != nil && status.Code(err) != codes.Unavailable
}

// tidy turns an error into what a person should read.
func tidy(err error) error {
	switch {
	case errors.Is(err, errNoAnswer):
		return err
	case errors.Is(err, io.EOF):
		return errors.New("the server ended the stream")
	default:
		return &serverError{status.Convert(err)}
	}
}

// A serverError is what a server said, which is not to be trusted with control
// characters or length.
type serverError struct{ status *status.Status }

func (e *serverError) Error() string {
	return fmt.Sprintf("%s: %s", e.status.Code(), sentence(e.status.Message()))
}

// GRPCStatus lets status.Code see through.
func (e *serverError) GRPCStatus() *status.Status { return e.status }

// withHeader adds the mandatory security header (Workload Endpoint 6.1).
func withHeader(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "workload.spiffe.io", "true")
}
