// Package examples holds the configuration of each integration, which its test
// runs against the real server, so that the program can print it.
package examples

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/config"
)

//go:embed */helper.conf
var files embed.FS

// Names are the integrations that there are, in order.
func Names() []string {
	paths, _ := fs.Glob(files, "*/helper.conf") // the pattern is good
	for i, p := range paths {
		paths[i] = path.Dir(p)
	}
	return paths
}

// Config returns the configuration of an integration.
func Config(name string) ([]byte, error) { return files.ReadFile(path.Join(name, "helper.conf")) }

// Running returns the integrations whose server runs now, by the names of the
// processes in proc, which is /proc.
func Running(proc fs.FS) (names []string) {
	const longest = 15 // of a process's name, as the kernel keeps it
	var processes []string
	paths, _ := fs.Glob(proc, "[0-9]*/comm")
	for _, p := range paths {
		if comm, err := fs.ReadFile(proc, p); err == nil { // it may have ended
			processes = append(processes, strings.TrimSuffix(string(comm), "\n"))
		}
	}
	for _, name := range Names() {
		text, _ := Config(name)
		if c, _ := config.Parse(name, text); c != nil && c.Process != nil {
			program := path.Base(c.Process.Command[0])
			if slices.Contains(processes, program[:min(len(program), longest)]) {
				names = append(names, name)
			}
		}
	}
	return names
}
