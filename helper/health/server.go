package health

import (
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
	"strings"
	"time"
)

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = time.Minute
	// maxHeader bounds, in bytes, a request's header; net/http adds 4 KiB.
	maxHeader = 4 << 10
	// goodbye is how long requests may go on when the helper ends.
	goodbye = 100 * time.Millisecond
)

// A Server answers probes, scrapers and people.
type Server struct {
	listener net.Listener
	http     *http.Server
	checks   map[string]http.HandlerFunc
	pages    map[string]http.HandlerFunc
	current  func() Status
	log      *slog.Logger
}

// New listens, so that an address that cannot be had is an error now and not a
// line in a log later. current returns the status of the moment; it is called
// at each request, by several goroutines at once, and must not block.
func New(cfg Config, current func() Status, log *slog.Logger) (*Server, error) {
	if cfg.LivePath == "" {
		cfg.LivePath = DefaultLivePath
	}
	if cfg.ReadyPath == "" {
		cfg.ReadyPath = DefaultReadyPath
	}
	switch {
	case !strings.HasPrefix(cfg.LivePath, "/"), !strings.HasPrefix(cfg.ReadyPath, "/"):
		return nil, fmt.Errorf("health: paths begin with a slash; these are %q and %q", cfg.LivePath, cfg.ReadyPath)
	case cfg.LivePath == cfg.ReadyPath:
		return nil, fmt.Errorf("health: live and ready have the same path, %q; give each its own", cfg.LivePath)
	}
	s := &Server{current: current, log: log}
	s.checks = map[string]http.HandlerFunc{cfg.LivePath: s.live(cfg.LiveNeedsWrites), cfg.ReadyPath: s.ready}
	for path, check := range maps.Clone(s.checks) { // as spiffe-helper, which sends /live on to /live/
		if short := strings.TrimSuffix(path, "/"); short != "" && s.checks[short] == nil {
			s.checks[short] = check
		}
	}
	s.pages = map[string]http.HandlerFunc{"/": s.page, "/metrics": s.scrape}

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
	if check, ok := s.checks[r.URL.Path]; ok {
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

func (s *Server) live(needsWrites bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status := s.current()
		var why []string
		if status.Dead != "" {
			why = append(why, status.Dead)
		}
		if needsWrites && status.Writes.failed() {
			why = append(why, "a file could not be written")
		}
		answer(w, &status, why)
	}
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	status := s.current()
	_, why := status.ready(time.Now())
	answer(w, &status, why)
}

// A checkAnswer is spiffe-helper's answer, plus the reasons.
type checkAnswer struct {
	Status  string      `json:"status"`
	Health  checkHealth `json:"health"`
	Reasons []string    `json:"reasons,omitempty"`
}

type checkHealth struct {
	FileWriteStatuses fileWriteStatuses `json:"file_write_statuses"`
}

type fileWriteStatuses struct {
	X509 WriteStatus            `json:"x509_write_status,omitempty"`
	JWT  map[string]WriteStatus `json:"jwt_write_status"`
}

// answer says OK unless there are reasons against it.
func answer(w http.ResponseWriter, status *Status, why []string) {
	code := http.StatusOK
	if len(why) > 0 {
		code = http.StatusServiceUnavailable
	}
	a := checkAnswer{Status: http.StatusText(code), Reasons: why}
	a.Health.FileWriteStatuses = fileWriteStatuses{X509: status.Writes.X509, JWT: status.Writes.JWT}
	if a.Health.FileWriteStatuses.JWT == nil {
		a.Health.FileWriteStatuses.JWT = map[string]WriteStatus{}
	}
	body, err := json.Marshal(a)
	if err != nil { // strings and maps of strings: it cannot
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
