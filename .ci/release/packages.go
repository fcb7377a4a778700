package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself
)

// manuals are the manual pages and completions, and where they are installed.
var manuals = []struct{ source, target string }{
	{"docs/man/svidhelper.1", "/usr/share/man/man1/svidhelper.1"},
	{"docs/man/helper.conf.5", "/usr/share/man/man5/helper.conf.5"},
	{"docs/completion/svidhelper.bash", "/usr/share/bash-completion/completions/svidhelper"},
	{"docs/completion/_svidhelper", "/usr/share/zsh/site-functions/_svidhelper"},
	{"docs/completion/svidhelper.fish", "/usr/share/fish/vendor_completions.d/svidhelper.fish"},
}

// packages writes a deb and an rpm for each architecture of Linux, and those of
// the link under spiffe-helper's name.
func (r *release) packages(builds []*build) error {
	for _, b := range builds {
		if b.os != "linux" {
			continue
		}
		for _, format := range []string{"deb", "rpm"} {
			if err := r.pack(format, r.program(b)); err != nil {
				return err
			}
			if b == builds[0] {
				if err := r.pack(format, r.link(format)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// described returns what all packages have in common.
func (r *release) described(name, arch, description string) *nfpm.Info {
	return &nfpm.Info{
		Name: name, Arch: arch, Platform: "linux", Version: packageVersion(r.version), VersionSchema: "none",
		Section: "admin", Priority: "optional", License: "Apache-2.0", Homepage: r.repo,
		Maintainer: "svidhelper maintainers <maintainers@svidhelper.invalid>", Description: description, MTime: r.time,
		Overridables: nfpm.Overridables{RPM: nfpm.RPM{BuildHost: "localhost", Summary: strings.SplitN(description, "\n", 2)[0]}},
	}
}

// program returns the package of the program.
func (r *release) program(b *build) *nfpm.Info {
	info := r.described("svidhelper", b.arch, "SPIFFE identities on disk for software without the Workload API\n"+
		"Keeps X.509-SVIDs, JWT-SVIDs and bundles fresh on disk, runs a process on top\nof them, and makes every rotation reach it.")
	add := func(source, target, kind string, mode fs.FileMode) {
		info.Contents = append(info.Contents, &files.Content{Source: source, Destination: target, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time}})
	}
	in := func(name string) string { return filepath.Join(r.top, name) }
	doc := func(source, target string, mode fs.FileMode) {
		add(source, "/usr/share/doc/svidhelper/"+target, "", mode)
	}
	add(b.binary, "/usr/bin/svidhelper", "", 0o755)
	add(in("examples/systemd/svidhelper.service"), "/usr/lib/systemd/system/svidhelper.service", "", 0o644)
	add(in("examples/systemd/svidhelper@.service"), "/usr/lib/systemd/system/svidhelper@.service", "", 0o644)
	add(in("examples/systemd/sysusers.conf"), "/usr/lib/sysusers.d/svidhelper.conf", "", 0o644)
	add(in("examples/systemd/helper.conf"), "/etc/svidhelper/helper.conf", files.TypeConfigNoReplace, 0o644)
	for _, m := range manuals {
		add(in(m.source), m.target, "", 0o644)
	}
	doc(in("LICENSE"), "copyright", 0o644)
	doc(b.notices, "THIRD_PARTY_NOTICES", 0o644)
	r.documents(func(name string) { doc(in(name), name, r.mode(name)) })
	info.Scripts = nfpm.Scripts{PostInstall: in(".ci/release/postinstall.sh"), PreRemove: in(".ci/release/preremove.sh"), PostRemove: in(".ci/release/postremove.sh")}
	return info
}

// mode is that of a file of the repository, whatever the umask of the checkout: an
// example's script can be executed.
func (r *release) mode(name string) fs.FileMode {
	if info, err := os.Stat(filepath.Join(r.top, name)); err == nil && info.Mode()&0o100 != 0 {
		return 0o755
	}
	return 0o644 // that a file is missing is found when it is read
}

// documents calls f for each file that the README leads to, by its name in the
// repository, and so in an archive and below the folder of a package's documents: a link
// from one to another leads to the same place in all of them.
func (r *release) documents(f func(name string)) {
	top := os.DirFS(r.top)
	for _, pattern := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "helper.conf.example", "docs/*.*"} {
		names, _ := fs.Glob(top, pattern) // it fails for a wrong pattern alone
		for _, name := range names {
			f(name)
		}
	}
	fs.WalkDir(top, "examples", func(name string, d fs.DirEntry, err error) error {
		test := filepath.Dir(name) == "examples" // and not of a folder
		if err == nil && !d.IsDir() && !test {
			f(name)
		}
		return err
	})
}

// link returns the package that takes spiffe-helper's place.
func (r *release) link(format string) *nfpm.Info {
	info := r.described("svidhelper-spiffe-helper", "all",
		"svidhelper under the name of spiffe-helper\nA link, for scripts and units that call spiffe-helper.")
	info.Contents = files.Contents{{Source: "svidhelper", Destination: "/usr/bin/spiffe-helper", Type: files.TypeSymlink,
		FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", MTime: r.time}}}
	info.Depends = []string{fmt.Sprintf("svidhelper (>= %s)", info.Version)}
	if format == "rpm" {
		info.Depends = []string{"svidhelper >= " + info.Version}
	}
	info.Provides, info.Conflicts, info.Replaces = []string{"spiffe-helper"}, []string{"spiffe-helper"}, []string{"spiffe-helper"}
	return info
}

func (r *release) pack(format string, info *nfpm.Info) error {
	info = nfpm.WithDefaults(info)
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	return create(filepath.Join(r.dist, packager.ConventionalFileName(info)), func(w io.Writer) error { return packager.Package(info, w) })
}

var described = regexp.MustCompile(`-([0-9]+)-g([0-9a-f]+)`)

// packageVersion returns what git describe says in a form that packages sort as
// releases are: a candidate comes before its version, what has commits on top
// comes after it, and a bare commit before all.
func packageVersion(version string) string {
	version, dirty := strings.CutSuffix(strings.TrimPrefix(version, "v"), "-dirty")
	version = described.ReplaceAllString(version, "+$1.g$2")
	version = strings.Replace(version, "-", "~", 1)
	if !strings.Contains(version, ".") || version[0] < '0' || version[0] > '9' {
		version = "0~" + version
	}
	if dirty {
		version += "+dirty"
	}
	return version
}
