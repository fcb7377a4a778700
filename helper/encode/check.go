package encode

import (
	"fmt"
	"path"

	"github.com/svidhelper/svidhelper/writer"
)

// Check finds out, without touching anything, whether an output can be
// published. An error says what to change. Names that only an answer makes
// equal are found when it is encoded.
func Check(o *Output) error {
	for f := range o.uses() {
		if err := writer.CheckName(sample(f)); err != nil {
			return fmt.Errorf("output %s: %w", o.Dir, err)
		}
	}
	return writer.Check(o.Spec, o.known())
}

// Warnings says, without touching anything, what is allowed in an output and
// unwise.
func Warnings(o *Output) []string {
	all := writer.Warnings(o.Spec, o.known())
	for f, use := range o.uses() {
		if mode := o.mode(f, use.Private); use.Private && mode&0o004 != 0 {
			all = append(all, fmt.Sprintf("every user will be able to read the private key or token in %s: its mode is %04o", path.Join(o.Dir, f.Name), mode))
		}
	}
	return all
}

// known are the files whose names are known before the first answer, without
// their bytes.
func (o *Output) known() []writer.File {
	var files []writer.File
	for f, use := range o.uses() {
		if !f.Varies() {
			files = append(files, writer.File{Name: f.Name, Mode: o.mode(f, use.Private), Owner: f.Owner, Group: f.Group})
		}
	}
	return files
}
