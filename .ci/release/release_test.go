package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	statement "github.com/in-toto/attestation/go/v1"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
	"google.golang.org/protobuf/encoding/protojson"
)

const tags = "grpcnotrace,nethttpomithttp2"

// made is a release for this machine alone, made once.
var made = sync.OnceValues(func() (*release, error) {
	r := newRelease("../..")
	dist, err := os.MkdirTemp("", "dist")
	r.dist = filepath.Join(dist, "dist")
	if err != nil {
		return r, err
	}
	return r, r.make([]platform{{"linux", "amd64"}})
})

func newRelease(top string) *release {
	return &release{top: top, version: "v1.2.3", commit: strings.Repeat("0123456789", 4), repo: "https://github.com/svidhelper/svidhelper",
		time: time.Unix(1_700_000_000, 0).UTC(), tags: tags, ldflags: "-s -w -X main.version=v1.2.3 -X main.commit=012345678901"}
}

func releaseOf(t *testing.T) *release {
	t.Helper()
	r, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMain(m *testing.M) {
	code := m.Run()
	if r, _ := made(); r.dist != "" {
		os.RemoveAll(filepath.Dir(r.dist))
	}
	os.Exit(code)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("SVIDHELPER_TEST_STRICT") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// needRoot skips a test that takes root's rights, or fails it where nothing may be
// skipped.
func needRoot(t *testing.T, why string) {
	t.Helper()
	switch {
	case os.Getuid() == 0:
	case os.Getenv("SVIDHELPER_TEST_STRICT") != "":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSameBytes: another checkout of the same files, in another folder, gives the
// same release.
func TestSameBytes(t *testing.T) {
	first := releaseOf(t)
	elsewhere := filepath.Join(t.TempDir(), "a folder of another name")
	run(t, "cp", "-r", "../..", elsewhere)
	second := newRelease(elsewhere)
	second.dist = filepath.Join(t.TempDir(), "dist")
	if err := second.make([]platform{{"linux", "amd64"}}); err != nil {
		t.Fatal(err)
	}
	sums := string(read(t, filepath.Join(first.dist, "SHA256SUMS")))
	if again := string(read(t, filepath.Join(second.dist, "SHA256SUMS"))); again != sums {
		t.Errorf("first:\n%s\nthen:\n%s", sums, again)
	}
	for _, suffix := range []string{".tar.gz", "_amd64.deb", ".rpm", "_oci.tar", ".cdx.json", ".spdx.json", ".intoto.jsonl"} {
		if !strings.Contains(sums, suffix+"\n") {
			t.Errorf("no %s in\n%s", suffix, sums)
		}
	}
}

// TestChecksums: sha256sum agrees.
func TestChecksums(t *testing.T) {
	run(t, "sh", "-c", "cd "+releaseOf(t).dist+" && sha256sum --strict -c SHA256SUMS")
}

// TestArchive: what is unpacked runs, and has what its README and manual need.
func TestArchive(t *testing.T) {
	r, dir := releaseOf(t), t.TempDir()
	run(t, "tar", "-C", dir, "-xzf", r.name(platform{"linux", "amd64"}, ".tar.gz"))
	top := filepath.Join(dir, "svidhelper_1.2.3_linux_amd64")
	if got := run(t, filepath.Join(top, "svidhelper"), "version"); !strings.Contains(got, "1.2.3") {
		t.Errorf("the version is %s", got)
	}
	for _, name := range []string{"LICENSE", "README.md", "THIRD_PARTY_NOTICES", "helper.conf.example", "docs/man/svidhelper.1", "docs/completion/svidhelper.bash"} {
		read(t, filepath.Join(top, name))
	}
	lead(t, top)
	mode(t, filepath.Join(top, "examples"))
}

// mode checks that the examples' files are executable where they are to be: s6 does not
// start what is not.
func mode(t *testing.T, examples string) {
	t.Helper()
	for name, want := range map[string]fs.FileMode{"s6/svidhelper/run": 0o755, "haproxy/haproxy-update": 0o755, "nginx/nginx.conf": 0o644} {
		if info, err := os.Stat(filepath.Join(examples, name)); err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%s: %v, want %v", name, info.Mode(), want)
		}
	}
}

// lead checks that every link from one document below a folder to another leads there.
func lead(t *testing.T, folder string) {
	t.Helper()
	documents, links := 0, regexp.MustCompile(`\]\(([^)\s#:]+)[)#]`)
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			documents++
			for _, link := range links.FindAllStringSubmatch(string(read(t, path)), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(path), link[1])); err != nil {
					t.Errorf("%s: the link %s leads nowhere", path, link[1])
				}
			}
		}
		return err
	})
	if err != nil || documents < 50 {
		t.Errorf("%d documents: %v", documents, err)
	}
}

// TestZip: the archive for Windows can be unpacked.
func TestZip(t *testing.T) {
	need(t, "unzip")
	r := newRelease("../..")
	dir := t.TempDir()
	program := filepath.Join(dir, "svidhelper.exe")
	if err := os.WriteFile(program, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := &build{platform: platform{"windows", "amd64"}, binary: program, notices: "../../LICENSE"}
	path := filepath.Join(dir, "x.zip")
	if err := r.writeZip(path, "top/", r.contents(b)); err != nil {
		t.Fatal(err)
	}
	run(t, "unzip", "-q", path, "-d", dir)
	if got := string(read(t, filepath.Join(dir, "top/svidhelper.exe"))); got != "a program" {
		t.Errorf("%q", got)
	}
	if got := string(read(t, filepath.Join(dir, "top/README.md"))); !strings.Contains(got, "\r\n") {
		t.Error("the README has the line ends of Unix")
	}
}

// linked returns the modules that the go command finds in the program.
func linked(t *testing.T, r *release) []string {
	dir := t.TempDir()
	run(t, "tar", "-C", dir, "-xzf", r.name(platform{"linux", "amd64"}, ".tar.gz"))
	var all []string
	for line := range strings.Lines(run(t, "go", "version", "-m", filepath.Join(dir, "svidhelper_1.2.3_linux_amd64/svidhelper"))) {
		if f := strings.Fields(line); len(f) >= 3 && f[0] == "dep" {
			all = append(all, f[1]+"@"+f[2])
		}
	}
	slices.Sort(all)
	if len(all) < 10 {
		t.Fatalf("only %q", all)
	}
	return all
}

// TestCycloneDX: the bill of materials lists what is linked, and nothing else.
func TestCycloneDX(t *testing.T) {
	r := releaseOf(t)
	f, err := os.Open(r.name(platform{"linux", "amd64"}, ".cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(f, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range *bom.Components {
		if c.Name != "stdlib" {
			got = append(got, c.Name+"@"+c.Version)
		}
	}
	slices.Sort(got)
	if want := linked(t, r); !slices.Equal(got, want) {
		t.Errorf("listed:\n%q\nlinked:\n%q", got, want)
	}
}

// TestSPDX: so does the one of SPDX, and its own library finds it well formed.
func TestSPDX(t *testing.T) {
	r := releaseOf(t)
	f, err := os.Open(r.name(platform{"linux", "amd64"}, ".spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := spdxjson.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	var got []string
	for _, p := range doc.Packages {
		if p.PackageName != "stdlib" && !strings.HasSuffix(p.PackageName, "/svidhelper/svidhelper") {
			got = append(got, p.PackageName+"@"+p.PackageVersion)
		}
	}
	slices.Sort(got)
	if want := linked(t, r); !slices.Equal(got, want) {
		t.Errorf("listed:\n%q\nlinked:\n%q", got, want)
	}
}

// TestProvenance: the statement names every other file of the release, with its
// checksum, and the commit.
func TestProvenance(t *testing.T) {
	r := releaseOf(t)
	text := read(t, filepath.Join(r.dist, "svidhelper_1.2.3.intoto.jsonl"))
	if !json.Valid(text) || strings.Count(string(text), "\n") != 1 {
		t.Error("not one line of JSON")
	}
	s := new(statement.Statement)
	if err := protojson.Unmarshal(text, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	sums := string(read(t, filepath.Join(r.dist, "SHA256SUMS")))
	for _, subject := range s.GetSubject() {
		if line := subject.GetDigest()["sha256"] + "  " + subject.GetName() + "\n"; !strings.Contains(sums, line) {
			t.Errorf("not in the checksums: %s", line)
		}
	}
	if files, subjects := strings.Count(sums, "\n"), len(s.GetSubject()); files != subjects+1 {
		t.Errorf("%d files, %d subjects", files, subjects)
	}
	if !strings.Contains(string(text), r.commit) {
		t.Error("the commit is not named")
	}
}
