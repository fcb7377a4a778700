package doctor

import (
	"fmt"
	"math"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// place looks at where an output goes.
func (r *Report) place(o *encode.Output) {
	if err := encode.Check(o); err != nil {
		r.add(Problem, checkOutput, o.Dir, "%s", strings.TrimPrefix(err.Error(), "output "+o.Dir+": "))
	}
	for _, w := range encode.WarningsHere(o) {
		r.add(Warning, checkOutput, o.Dir, "%s", w)
	}
}

// output looks at where an output goes, whether the Workload API has given what it
// asks for, and whether there is room for that.
func (r *Report) output(o *encode.Output, s *snapshot.Snapshot) {
	before := len(r.Findings)
	for _, w := range encode.Warnings(o) {
		r.add(Warning, checkOutput, o.Dir, "%s", w)
	}
	r.place(o)
	set := encode.Encode(s, o)
	for _, g := range set.Gaps {
		switch {
		case g.Err == nil: // what has not come at all is said already
		case g.Absent:
			r.add(Problem, checkOutput, o.Dir, "%v; correct hint or spiffe_id, or register the workload for it", g.Err)
		default:
			r.add(Problem, checkOutput, o.Dir, "%v", g.Err)
		}
	}
	for _, why := range set.Skipped {
		r.add(Warning, checkOutput, o.Dir, "left out: %s", why)
	}
	for _, id := range set.Identities {
		if id.Default && s.X509 != nil && len(s.X509.SVIDs) > 1 {
			r.add(Warning, checkOutput, o.Dir, "it takes the first of %d identities, %s, which may be another one tomorrow: select one by hint or spiffe_id", len(s.X509.SVIDs), id.ID)
		}
	}
	text := r.room(o, set)
	if len(r.Findings) == before {
		r.add(OK, checkOutput, o.Dir, "%s", text)
	}
}

// room looks at the file system of an output, and describes it.
func (r *Report) room(o *encode.Output, set encode.Set) string {
	room, ok := writer.RoomFor(o.Spec)
	if !ok {
		return fmt.Sprintf("%s can be written", plural(len(set.Files), "file"))
	}
	bytes, files := size(set)
	switch {
	case room.Bytes < bytes:
		r.add(Problem, checkOutput, o.Dir, "no room: %d KiB are left in %s, and two generations take %d KiB: make room, or give it a larger volume", room.Bytes>>10, room.Path, bytes>>10)
	case room.Files < files:
		r.add(Problem, checkOutput, o.Dir, "no room: the file system of %s can hold %d more files, and two generations have %d: remove files, or give it another volume", room.Path, room.Files, files)
	}
	if !room.InMemory && len(o.PrivateFiles()) > 0 {
		r.add(Warning, checkOutput, o.Dir, "private keys or tokens go to a disk, where they can be found after their end: choose a tmpfs, as /run most often is, or an emptyDir with medium Memory")
	}
	where := "on a disk"
	if room.InMemory {
		where = "in memory"
	}
	left := ""
	if room.Bytes < math.MaxUint64 {
		left = fmt.Sprintf(", %d MiB left", room.Bytes>>20)
	}
	return fmt.Sprintf("%s, %s%s", plural(len(set.Files), "file"), where, left)
}

// size is what two generations of a set take, in bytes and in files: the one before
// stays for a second. A file takes whole blocks.
func size(set encode.Set) (bytes, files uint64) {
	const block = 4096
	bytes, files = 2*block, 2 // the links, the lock, the directory
	for _, f := range set.Files {
		bytes += (uint64(len(f.Data))/block + 1) * block
		files++
	}
	return 2 * bytes, 2 * files
}
