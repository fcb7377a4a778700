package health

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/svidhelper/svidhelper/helper/config"
)

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = time.Minute
	// maxHeader bounds, in bytes, a request's header; net/http adds 4 KiB.
	maxHeader = 4 << 10
	// maxBodies is how many metrics, statuses and versions of the page are written
	// at a time. Each is in memory as long as its reader takes.
	maxBodies = 8
	// goodbye is how long requests may go on when the helper ends.
	goodbye = 100 * time.Millisecond
)

// A Server answers probes, scrapers and people.
type Server struct {
	listener net.Listener
	http     *http.Server
	checks   atomic.Pointer[map[string]http.HandlerFunc] // by path
	pages    map[string]http.HandlerFunc
	bodies   chan struct{} // of capacity maxBodies: those that are being written
	current  func() Status
	log      *slog.Logger
}

// New listens, so that an address that cannot be had is an error now and not a
// line in a log later. current returns the status of the moment; it is called
// at each request, by several goroutines at once, and must not block.
func New(cfg config.Health, current func() Status, log *slog.Logger) (*Server, error) {
	cfg, err := prepare(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{current: current, log: log, bodies: make(chan struct{}, maxBodies)}
	s.Follow(cfg)
	s.pages = map[string]http.HandlerFunc{"/": s.page, "/metrics": s.bounded(s.scrape), "/status.json": s.bounded(s.json)}

	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("health: %w%s", err, hint(err))
	}
	s.listener = listener
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.route),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         new(crowd).changed,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // whatever a port scanner does
	}
	return s, nil
}

// Follow serves the checks at the paths of a configuration that has the same
// address, and that Check has accepted.
func (s *Server) Follow(cfg config.Health) {
	cfg, _ = prepare(cfg)
	checks := map[string]http.HandlerFunc{cfg.LivePath: s.live, cfg.ReadyPath: s.ready}
	for path, check := range maps.Clone(checks) { // as spiffe-helper, which sends /live on to /live/
		if short := strings.TrimSuffix(path, "/"); short != "" && checks[short] == nil {
			checks[short] = check
		}
	}
	s.checks.Store(&checks)
}

// Check reports why nothing can be served as a configuration says.
func Check(cfg config.Health) error {
	_, err := prepare(cfg)
	return err
}

// prepare checks the paths, and fills in those that are not given.
func prepare(cfg config.Health) (config.Health, error) {
	cfg.LivePath, cfg.ReadyPath = cmp.Or(cfg.LivePath, config.DefaultLivePath), cmp.Or(cfg.ReadyPath, config.DefaultReadyPath)
	switch {
	case !strings.HasPrefix(cfg.LivePath, "/"), !strings.HasPrefix(cfg.ReadyPath, "/"):
		return cfg, fmt.Errorf("health: paths begin with a slash; these are %q and %q", cfg.LivePath, cfg.ReadyPath)
	case cfg.LivePath == cfg.ReadyPath:
		return cfg, fmt.Errorf("health: live and ready have the same path, %q; give each its own", cfg.LivePath)
	}
	return cfg, nil
}

// hint says what to do about an address that cannot be had.
func hint(err error) string {
	switch {
	case isTaken(err) && runtime.GOOS == "linux":
		return "; set another address, or end the program that has it: \"ss -ltnp\" lists them"
	case isTaken(err):
		return "; set another address, or end the program that has it"
	case errors.Is(err, fs.ErrPermission):
		return "; ports below 1024 need a privilege: set another"
	}
	return "; set another address"
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close stops listening. It is for a Server that does not come to run.
func (s *Server) Close() error { return s.listener.Close() }

// Run answers until ctx ends, and then returns nil as soon as requests have
// been answered, or after a tenth of a second.
func (s *Server) Run(ctx context.Context) error {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx } // ends the documents that do not end
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	s.log.Info("health is served", "address", s.Addr().String())
	select {
	case err := <-ended:
		return fmt.Errorf("health: %w", err)
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if s.http.Shutdown(limited) != nil {
		_ = s.http.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("health: %w", err)
	}
	return nil
}

// route is a multiplexer of our own: http.ServeMux reads configured paths as
// patterns, and http.DefaultServeMux serves what any package likes.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if check, ok := (*s.checks.Load())[r.URL.Path]; ok {
		check(w, r) // whatever the method: a load balancer may ask with OPTIONS
		return
	}
	page, ok := s.pages[r.URL.Path]
	switch {
	case !ok:
		http.Error(w, "not found", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		page(w, r)
	}
}

// bounded refuses a reader when too many others take their time.
func (s *Server) bounded(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.bodies <- struct{}{}:
			defer func() { <-s.bodies }()
			answer(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many others read slowly; try again", http.StatusServiceUnavailable)
		}
	}
}

// live is 200 while the helper answers: what the Workload API, a disk or the
// process does is no reason to restart the helper. spiffe-helper's also needs
// that no write has failed.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	status := s.current()
	answer(w, &status, status.unwritten(), nil)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	status := s.current()
	_, why := status.Ready(time.Now())
	answer(w, &status, why, status.notes(why))
}

// unwritten is a reason for the checks of spiffe-helper, for which an answer that
// lacks the hint is a write that failed.
func (s *Status) unwritten() []string {
	if s.NeedsWrites && s.writes().failed() {
		return []string{"a file could not be written"}
	}
	return nil
}

// A checkAnswer is spiffe-helper's answer, plus the reasons for not being ready,
// and what is to be noted without being one.
type checkAnswer struct {
	Status  string      `json:"status"`
	Health  checkHealth `json:"health"`
	Reasons []string    `json:"reasons,omitempty"`
	Notes   []string    `json:"notes,omitempty"`
}

type checkHealth struct {
	FileWriteStatuses fileWriteStatuses `json:"file_write_statuses"`
}

type fileWriteStatuses struct {
	X509 WriteStatus            `json:"x509_write_status,omitempty"`
	JWT  map[string]WriteStatus `json:"jwt_write_status"`
}

// failed reports whether a write has failed.
func (w fileWriteStatuses) failed() bool {
	return w.X509 == Failed || slices.Contains(slices.Collect(maps.Values(w.JWT)), Failed)
}

// answer says OK unless there are reasons against it.
func answer(w http.ResponseWriter, status *Status, why, notes []string) {
	code := http.StatusOK
	if len(why) > 0 {
		code = http.StatusServiceUnavailable
	}
	a := checkAnswer{Status: http.StatusText(code), Reasons: why, Notes: notes}
	a.Health.FileWriteStatuses = status.writes()
	body, err := json.Marshal(a)
	if err != nil { // strings and maps of strings: it cannot
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
