package health

import (
	"net/http"
	"strings"
	"time"
)

const (
	// refresh is how often an open page is brought up to date.
	refresh = 5 * time.Second
	// maxVersions is how many versions one document gets. Then it loads itself
	// anew, so that it does not grow without end.
	maxVersions = 60
)

// page answers a browser with a document that does not end: each version of the
// page is appended to the one before, and hides it. So it is up to date without a
// script, and stays readable when svidhelper has ended, which loading it anew
// would not. What is no browser gets one version.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	h.Set("X-Accel-Buffering", "no") // a proxy passes each version on at once
	p := &page{}
	p.head()
	browser := r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
	taken := false // by the browser
	s.bounded(func(w http.ResponseWriter, _ *http.Request) { taken = s.next(w, p, 1) })(w, r)
	if !taken || !browser {
		return
	}
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for n := 2; n <= maxVersions; n++ {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
		select {
		case s.bodies <- struct{}{}:
			taken = s.next(w, &page{}, n)
			<-s.bodies
		default: // others read slowly: a later version will do
			n--
		}
		if !taken {
			return
		}
	}
	_, _ = w.Write([]byte("<meta http-equiv=refresh content=0>"))
}

// next sends the n-th version of the page, and reports whether the browser takes
// it.
func (s *Server) next(w http.ResponseWriter, p *page, n int) bool {
	status := s.current()
	r := status.report(time.Now())
	p.version(n, &r)
	to := http.NewResponseController(w)
	_ = to.SetWriteDeadline(time.Now().Add(writeTimeout)) // the server's is for a whole answer
	_, err := p.WriteTo(w)
	return err == nil && to.Flush() == nil
}
