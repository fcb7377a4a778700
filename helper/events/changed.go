package events

// Stir says that a part's status is new, be it an event or not. It never blocks.
func (s *Stream) Stir() {
	select {
	case s.stirred <- struct{}{}:
	default:
	}
}

// Changed hears that an event was noted, or that Stir was called; several of them
// may be one message.
func (s *Stream) Changed() <-chan struct{} { return s.stirred }
