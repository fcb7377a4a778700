package health

import "time"

// Ready reports what a probe of /ready is told at that moment: whether everything
// is as it should be, and if not, why.
func (s *Status) Ready(now time.Time) (ok bool, why []string) { return s.ready(now) }
