// Command release builds what a release of svidhelper consists of: an archive for
// each platform, deb and rpm packages, an OCI image, the bills of materials, the
// provenance, and the checksums of it all.
//
// Two runs of one commit, with one version of Go, give the same bytes wherever
// they run: every time in them is the commit's, and nothing is named after the
// machine. Nothing is signed here: docs/release.md says how that is done.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A release is what all parts are made of.
type release struct {
	top     string // the checkout
	dist    string // where everything goes
	version string // as git describe says it, without the v
	commit  string
	repo    string    // where the source is, as the provenance names it
	time    time.Time // of the commit
	tags    string
	ldflags string
}

// A platform is one that is released. The packages and the image are of those of
// Linux.
type platform struct{ os, arch string }

var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

func main() {
	r, only := &release{}, ""
	var seconds int64
	flag.StringVar(&r.top, "top", "../..", "the `directory` of the checkout")
	flag.StringVar(&r.dist, "dist", "dist", "the `directory` to write to, which is emptied first")
	flag.StringVar(&r.version, "version", "", "what is released, as git describe says it")
	flag.StringVar(&r.commit, "commit", "", "the commit that it is built from")
	flag.StringVar(&r.repo, "repository", "https://github.com/svidhelper/svidhelper", "where the commit is")
	flag.Int64Var(&seconds, "time", 0, "the commit's time, in `seconds` since 1970")
	flag.StringVar(&r.tags, "tags", "", "build tags")
	flag.StringVar(&r.ldflags, "ldflags", "", "flags of the linker")
	flag.StringVar(&only, "only", "", "`os/arch` of the only platform to build for")
	flag.Parse()
	r.time = time.Unix(seconds, 0).UTC()
	if err := r.make(chosen(only)); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func chosen(only string) []platform {
	goos, arch, found := strings.Cut(only, "/")
	if !found {
		return platforms
	}
	return []platform{{goos, arch}}
}

// make writes the whole release.
func (r *release) make(platforms []platform) error {
	if r.version == "" || r.commit == "" || r.time.Unix() == 0 {
		return fmt.Errorf("-version, -commit and -time are needed; %q", "make release")
	}
	r.version = strings.TrimPrefix(r.version, "v")
	var err error
	if r.dist, err = filepath.Abs(r.dist); err != nil {
		return err
	}
	if err := os.RemoveAll(r.dist); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dist, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	var builds []*build
	for _, p := range platforms {
		b, err := r.build(p, filepath.Join(scratch, p.os+"_"+p.arch))
		if err != nil {
			return fmt.Errorf("%s/%s: %w", p.os, p.arch, err)
		}
		builds = append(builds, b)
	}
	for _, step := range []func([]*build) error{r.archives, r.packages, r.image, r.boms, r.provenance} {
		if err := step(builds); err != nil {
			return err
		}
	}
	return r.checksums()
}

// name returns the name of a file of the release for a platform.
func (r *release) name(p platform, suffix string) string {
	return filepath.Join(r.dist, fmt.Sprintf("svidhelper_%s_%s_%s%s", r.version, p.os, p.arch, suffix))
}
