package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/proof"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/supervisor/hook"
)

// lookTimeout bounds one look at an address.
const lookTimeout = 5 * time.Second

// health looks at whether the address of health can be had, or is had by a helper.
func (r *Report) health(ctx context.Context, c *config.Config) {
	if c.Health == nil {
		return
	}
	address := c.Health.Address
	s, err := health.New(*c.Health, nil, slog.New(slog.DiscardHandler))
	switch {
	case err == nil:
		if err := s.Close(); err != nil {
			r.add(Problem, checkHealth, address, "%v", err)
			return
		}
		r.add(OK, checkHealth, address, "free")
	case helperAnswers(ctx, address):
		r.add(OK, checkHealth, address, "a running svidhelper answers there")
	default:
		r.add(Problem, checkHealth, address, "%v", err)
	}
}

// helperAnswers reports whether a helper serves its metrics at an address.
func helperAnswers(ctx context.Context, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/metrics", nil)
	if err != nil {
		return false
	}
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return strings.Contains(string(text), "\nsvidhelper_")
}

// proofs looks at what the addresses of proofs serve.
func (r *Report) proofs(ctx context.Context, c *config.Config, s *snapshot.Snapshot) {
	if p := c.Process; p != nil && p.Proof != nil {
		r.proof(ctx, *p.Proof, len(ours(p.Spec)) > 0, s)
	}
	for i := range c.Hooks {
		if h := &c.Hooks[i]; h.Proof != nil {
			found, err := hook.Look(h.Spec)
			r.proof(ctx, *h.Proof, err == nil && len(found) > 0, s)
		}
	}
}

// proof looks at one address, and runs no command. runs says that the service is
// known to run.
func (r *Report) proof(ctx context.Context, cfg proof.Config, runs bool, s *snapshot.Snapshot) {
	if len(cfg.Command) > 0 {
		r.executable(checkProof, cfg.Subject(), cfg.Command[0])
		cfg.Command = nil
	}
	if cfg.TLS == "" || s == nil || s.X509 == nil {
		return // there is nothing to look at, or to compare with
	}
	prover, err := proof.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		r.add(Problem, checkProof, cfg.TLS, "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	result, err := prover.Look(ctx, expected(s.X509), proof.Result{})
	var failed *proof.Error
	switch {
	case err == nil:
		r.add(OK, checkProof, cfg.TLS, "it serves serial %s, which the Workload API gives now", result.Serial)
	case !errors.As(err, &failed):
		r.add(Warning, checkProof, cfg.TLS, "nothing was seen within %v: %v", lookTimeout, err)
	case failed.Right:
		r.add(Warning, checkProof, cfg.TLS, "it serves serial %s, which the Workload API gives now, but %v", failed.Served, failed.Err)
	case failed.Served != "":
		r.add(Warning, checkProof, cfg.TLS, "it serves serial %s, and the Workload API gives %s: the service has not taken up the present SVID, or is another one", failed.Served, failed.Want)
	case nothingListens(failed.Err) && !runs:
		r.add(OK, checkProof, cfg.TLS, "nothing listens there yet")
	case nothingListens(failed.Err):
		r.add(Problem, checkProof, cfg.TLS, "nothing listens there, although the service runs: correct the address (%v)", failed.Err)
	default:
		r.add(Problem, checkProof, cfg.TLS, "%v: correct the address, or starttls", failed.Err)
	}
}

// expected is any of the SVIDs that there are now, and the first to show where a
// client certificate is asked for.
func expected(x *snapshot.X509) proof.Want {
	want := proof.Want{Certificate: func() (*tls.Certificate, error) {
		own := x.Default()
		if own == nil || own.PrivateKey == nil {
			return nil, nil
		}
		c := &tls.Certificate{PrivateKey: own.PrivateKey, Leaf: own.Certificates[0]}
		for _, cert := range own.Certificates {
			c.Certificate = append(c.Certificate, cert.Raw)
		}
		return c, nil
	}}
	for _, svid := range x.SVIDs {
		want.Leaves = append(want.Leaves, svid.Certificates[0])
		want.Authorities = append(want.Authorities, svid.Bundle.X509Authorities()...)
	}
	return want
}

func nothingListens(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
