package publish

import (
	"errors"

	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// tell passes a change on, to the process first. The process is started when
// everything is on disk; one of a new plan takes the place of the one before at
// the same moment. It returns the names of the targets that are told.
func (r *Publisher) tell(c Change, whole bool) (told []string, err error) {
	p := r.plan.Process
	switch {
	case p != nil && p != r.process && whole:
		if err := p.CheckReadable(r.privateFiles()); err != nil {
			if !r.adopted {
				return nil, errors.New("the process is not started: " + err.Error())
			}
			r.notStarted(err)
			break
		}
		r.unstarted.Store(nil)
		if r.plan.Exchange != nil {
			r.plan.Exchange()
		}
		r.process = p
		c.First = true
		p.Tell(c)
		told = append(told, p.Name())
	case r.process != nil && r.process.On().Has(c.Kinds):
		r.process.Tell(c)
		told = append(told, r.process.Name())
	case p != r.process:
		r.logWaiting()
	}
	for _, h := range r.plan.Hooks {
		if r.tellHook(h, c, whole) {
			told = append(told, h.Name())
		}
	}
	return told, nil
}

// concerned are the names of the targets that are told of a change of those kinds;
// the process is started by it if everything is on disk.
func (r *Publisher) concerned(kinds snapshot.Kind, whole bool) (names []string) {
	if p := r.plan.Process; p != nil && (p != r.process && whole || p == r.process && !p.Notices() && p.On().Has(kinds)) {
		names = append(names, p.Name())
	}
	for _, h := range r.plan.Hooks {
		if h.On().Has(kinds) {
			names = append(names, h.Name())
		}
	}
	return names
}

// notStarted says why the process of a new plan does not take the place of the
// one before, once a reason.
func (r *Publisher) notStarted(err error) {
	if why := err.Error(); r.Unstarted() != why {
		r.unstarted.Store(&why)
		r.log.Error("the process of the new configuration is not started, the one before goes on", "error", err)
	}
}

// mayStart reports whether everything is on disk, or all that is missing is what
// the process can do without and has been refused.
func (r *Publisher) mayStart(status *source.Status) bool {
	missing := snapshot.KindNone
	for _, o := range r.outputs {
		if o.err != nil {
			return false
		}
		missing |= o.missing()
	}
	if missing == snapshot.KindNone {
		return true
	}
	if r.plan.Process == nil || missing&^r.plan.StartWithout != 0 {
		return false
	}
	for _, p := range status.Profiles {
		if missing.Has(KindOf(p.Profile)) && p.LastSuccess.IsZero() && p.LastError == nil {
			return false // it may still come
		}
	}
	return true
}

// KindOf is the kind of material that a profile gives.
func KindOf(p source.Profile) snapshot.Kind {
	switch p {
	case source.ProfileX509SVID:
		return snapshot.KindX509
	case source.ProfileX509Bundle:
		return snapshot.KindBundle
	case source.ProfileJWTSVID, source.ProfileJWTBundle:
		return snapshot.KindJWT
	default:
		return snapshot.KindWIT
	}
}

// logWaiting says, once for each state, what the process waits for.
func (r *Publisher) logWaiting() {
	waiting := describeAwaited(r.outputs)
	if waiting != r.waiting && waiting != "" {
		r.log.Info("waiting for the Workload API", "awaited", waiting)
	}
	r.waiting = waiting
}
