package trust

import (
	"slices"
	"time"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// A Memory is what the certificates on disk do not tell the next run: of the
// authorities there, by the SHA-256 of each, those that are not known to have
// arrived, and until when those stay that have left.
type Memory struct {
	Fresh   []string             `json:"fresh,omitempty"`
	Leaving map[string]time.Time `json:"leaving,omitempty"`
}

// Memory is what is to be remembered.
func (st *State) Memory() Memory {
	var m Memory
	if st == nil {
		return m
	}
	for _, l := range st.leaves {
		for _, a := range l.followed.leaving {
			if m.Leaving == nil {
				m.Leaving = map[string]time.Time{}
			}
			m.Leaving[a.name] = a.ends
		}
		if st.since.IsZero() {
			continue
		}
		for _, c := range l.svid.Bundle.X509Authorities() {
			if name := nameOf(c); !slices.ContainsFunc(l.arrived, c.Equal) && !slices.Contains(m.Fresh, name) {
				m.Fresh = append(m.Fresh, name)
			}
		}
	}
	slices.Sort(m.Fresh)
	return m
}

// Restored is the state of an output that an earlier run has left on disk, as far
// as the X.509-SVIDs there and their bundles tell it. What had not arrived has its
// time once more: the services may have been started anew, too.
func Restored(svids []snapshot.X509SVID, m Memory, now time.Time) *State {
	st := &State{leaves: map[who]leaf{}, restored: true}
	several := map[who]bool{}
	for _, svid := range svids {
		if svid.Bundle == nil || svid.PrivateKey == nil {
			continue
		}
		l := leaf{svid: svid, followed: followed{answered: svid.Bundle, shown: svid.Bundle, until: m.Leaving}}
		for _, c := range svid.Bundle.X509Authorities() {
			if slices.Contains(m.Fresh, nameOf(c)) {
				st.since = now
			} else {
				l.arrived = append(l.arrived, c)
			}
		}
		at := who{svid.ID, svid.Hint}
		if other, is := st.leaves[at]; is && !same(other.svid, svid) {
			several[at] = true // of several hints, which the disk does not tell
		}
		st.leaves[at] = l
	}
	for at := range several {
		delete(st.leaves, at)
	}
	return st
}
