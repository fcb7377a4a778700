package writer

import (
	"errors"
	"slices"
	"strings"
)

// In the modes that have no generations, a list of what is published tells our
// files from others' after a restart, so that a bundle that is not trusted any more
// goes even then. It has a name a line.

// record lists names as the file does.
func record(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return strings.Join(slices.Sorted(slices.Values(names)), "\n") + "\n"
}

// recorded returns the names that a record lists. One that no output could have
// is not ours, whatever program wrote it there.
func recorded(record string) []string {
	var names []string
	for name := range strings.Lines(record) {
		if name = strings.TrimSuffix(name, "\n"); CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// maxRecord is how many bytes of a record are read.
const maxRecord = 64 << 20

// readRecord returns what a record on disk says, or nothing if there is none
// that this user wrote.
func (d *Dir) readRecord(name string) (string, error) {
	data, err := d.readOurs(name, maxRecord, d.ours)
	if absent(err) || errors.Is(err, errNotOurs) {
		return "", nil
	}
	return string(data), err
}
