package writer

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The longest element of a name, and the longest name, in bytes.
const (
	maxElement = 255
	maxName    = 1024
)

// CheckName reports why a name cannot be that of a file in an output: it must
// lead to a place inside the directory on every platform, and must not be one
// of ours. Elements are separated by slashes.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("file name is empty")
	case len(name) > maxName:
		return fmt.Errorf("file name of %d bytes is too long: %d is the most", len(name), maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("file name %q is not UTF-8", name)
	case strings.HasPrefix(name, "/"):
		return fmt.Errorf("file name %q is absolute: it has to be relative to the output's directory", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("file name %q holds a control character", name)
	case runtime.GOOS == "windows" && strings.ContainsAny(name, `\:*?"<>|`):
		return fmt.Errorf(`file name %q holds one of \:*?"<>|`, name)
	}
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "":
			return fmt.Errorf("file name %q has an empty element", name)
		case element == ".":
			return fmt.Errorf(`file name %q has the element "."`, name)
		case strings.HasPrefix(element, ".."):
			return fmt.Errorf(`file name %q has an element that starts with "..": such names are the helper's own`, name)
		case len(element) > maxElement:
			return fmt.Errorf("file name %q has an element of %d bytes: %d is the most", name[:32]+"…", len(element), maxElement)
		}
	}
	return nil
}

// CheckNames reports why names cannot be those of the files of one directory:
// one of them is none, or two are in each other's way.
func CheckNames(all []string) error {
	taken := make(Names, len(all))
	for _, name := range all {
		if err := CheckName(name); err != nil {
			return err
		}
		if err := taken.Take(name); err != nil {
			return err
		}
	}
	return nil
}

// fold maps names that the file system takes for the same to one string.
func fold(name string) string {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.ToLower(name)
	}
	return name
}

// Names are those that files of one directory have taken, and the directories
// on the way to them, folded.
type Names map[string]string

// Take claims a name: no other file may have it, nor be a directory on its way.
func (n Names) Take(name string) error {
	folded := fold(name)
	if other, taken := n[folded]; taken {
		if strings.HasSuffix(other, "/") {
			return fmt.Errorf("%q is the directory of other files", name)
		}
		return fmt.Errorf("%q and %q cannot both be in one directory: give each file a name of its own", other, name)
	}
	n[folded] = name
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		folded := fold(dir)
		if other, taken := n[folded]; taken && !strings.HasSuffix(other, "/") {
			return fmt.Errorf("%q cannot be a file and the directory of %q", other, name)
		}
		n[folded] = dir + "/"
	}
	return nil
}
