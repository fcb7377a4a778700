// Package examples holds the configuration of each integration, which its test
// runs against the real server, so that the program can print it.
package examples

import (
	"embed"
	"io/fs"
	"path"
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
