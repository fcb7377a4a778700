package helper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/svidhelper/svidhelper/helper/check"
	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
)

// What is read to be checked is bounded.
const (
	maxCheckedFile  = 16 << 20 // bytes
	maxCheckedBytes = 64 << 20 // of all files of a directory
	maxCheckedFiles = 2048
	maxCheckedDepth = 4 // directories below the one that is looked at
)

// ConfiguredFiles reads what the outputs of a configuration have on disk: a set
// for each block, and what the configuration says of each file.
func ConfiguredFiles(c *config.Config) []check.Set {
	var sets []check.Set
	for i := range c.Outputs {
		r := &outputFiles{output: &c.Outputs[i]}
		for sel := range r.output.Selections() {
			r.selection(sel)
			r.set++
		}
		for _, t := range r.output.Templates {
			r.want(t.File, t.Private, check.Want{Kind: check.Companion, Secret: t.Private})
		}
		r.want(r.output.Manifest, false, check.Want{Kind: check.Manifest})
		sets = append(sets, r.read()...)
	}
	return sets
}

// An outputFiles is what the configuration says of the files of one output.
type outputFiles struct {
	output *encode.Output
	set    int // of what is wanted next
	wanted []wantedFile
}

// A wantedFile is a file, or all files that a name with placeholders can mean.
type wantedFile struct {
	encode.FileSpec
	check.Want
	set int
	// optional: there can be none of that name.
	optional bool
	err      error // why it cannot be checked
}

func (r *outputFiles) want(f encode.FileSpec, private bool, want check.Want) {
	if f.Wanted() {
		want.Mode = r.output.Mode(f, private)
		r.wanted = append(r.wanted, wantedFile{FileSpec: f, Want: want, set: r.set})
	}
}

// selection notes the files of one block.
func (r *outputFiles) selection(sel encode.Selection) {
	o := r.output
	switch sel.Block {
	case encode.BlockX509SVID:
		x := &o.X509SVIDs[sel.Index]
		r.want(x.Cert, false, check.Want{Kind: check.X509SVID, ID: x.Select.ID})
		r.sealed(x.Combined, true, x.KeySecret, check.Want{Kind: check.X509SVID, ID: x.Select.ID})
		r.sealed(x.Key, true, x.KeySecret, check.Want{Kind: check.PrivateKey})
		r.want(x.Bundle, false, check.Want{Kind: check.X509Bundle})
		r.want(x.CRL, false, check.Want{Kind: check.CRL})
		for _, k := range []*encode.Keystore{x.PKCS12, x.JKS} {
			if k != nil {
				r.sealed(k.File, true, k.Secret, check.Want{Kind: check.Keystore, ID: x.Select.ID})
			}
		}
		if t := x.Truststore; t != nil {
			r.sealed(t.File, false, t.Secret, check.Want{Kind: check.X509Bundle})
		}
		r.want(x.Hints, false, check.Want{Kind: check.Hints})
		if x.Federated == encode.FederatedSeparate {
			r.set++ // it verifies no SVID of ours
			r.want(x.FederatedFile, false, check.Want{Kind: check.X509Bundle})
			r.wanted[len(r.wanted)-1].optional = true
		}
	case encode.BlockJWTSVID:
		j := &o.JWTSVIDs[sel.Index]
		r.want(j.File, true, check.Want{Kind: check.JWTSVID, ID: j.ID, Audience: j.Audience})
	case encode.BlockWITSVID:
		w := &o.WITSVIDs[sel.Index]
		r.want(w.Token, true, check.Want{Kind: check.WITSVID, ID: w.Select.ID})
		r.want(w.Key, true, check.Want{Kind: check.PrivateKey})
	case encode.BlockX509Bundle:
		b := &o.X509Bundles[sel.Index]
		r.sealed(b.File, false, b.Secret, check.Want{Kind: check.X509Bundle})
	case encode.BlockJWTBundle:
		r.want(o.JWTBundles[sel.Index].File, false, check.Want{Kind: check.JWKS})
	case encode.BlockWITBundle:
		r.want(o.WITBundles[sel.Index].File, false, check.Want{Kind: check.JWKS})
	case encode.BlockSPIFFEBundle:
		r.want(o.SPIFFEBundles[sel.Index].File, false, check.Want{Kind: check.SPIFFEBundle})
	}
}

// sealed notes a file that can have a password.
func (r *outputFiles) sealed(f encode.FileSpec, private bool, s encode.Secret, want check.Want) {
	if !f.Wanted() {
		return
	}
	var err error
	if s != (encode.Secret{}) {
		var password string
		password, err = s.Read(os.ReadFile)
		want.Password = &password
	}
	r.want(f, private, want)
	r.wanted[len(r.wanted)-1].err = err
}

// read reads the files. Where a name on disk is what several names with
// placeholders can mean, its content tells what it is.
func (r *outputFiles) read() []check.Set {
	sets := make([]check.Set, r.set+1)
	taken := map[string]bool{}
	add := func(w wantedFile, name string) {
		taken[name] = true
		f := check.File{Path: filepath.Join(r.output.Dir, name), Want: w.Want, Err: w.err}
		if f.Err == nil {
			readFile(&f, maxCheckedFile)
		}
		sets[w.set] = append(sets[w.set], f)
	}
	varies := false
	for _, w := range r.wanted {
		if varies = varies || w.Varies(); !w.Varies() {
			add(w, w.Name)
		}
	}
	if !varies {
		return sets
	}
	there, err := namesBelow(r.output.Dir)
	for n, w := range r.wanted {
		if !w.Varies() {
			continue
		}
		found := false
		for _, name := range there {
			if !w.Matches(name) {
				continue
			}
			found = true
			if taken[name] {
				continue
			}
			for _, other := range r.wanted[n+1:] {
				if other.Varies() && other.Matches(name) && other.Kind != w.Kind {
					w.Kind, w.Want.Mode = "", 0
				}
			}
			add(w, name)
		}
		if !found && !w.optional {
			if err == nil {
				err = errors.New("no file has such a name")
			}
			sets[w.set] = append(sets[w.set], check.File{Path: filepath.Join(r.output.Dir, w.Name), Want: w.Want, Err: err})
		}
	}
	return sets
}

// DirectoryFiles reads what is in a directory, whatever wrote it.
func DirectoryFiles(dir string) (check.Set, error) {
	names, err := namesBelow(dir)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", dir, explainRead(err))
	}
	var set check.Set
	left := int64(maxCheckedBytes)
	for _, name := range names {
		f := check.File{Path: filepath.Join(dir, name), Want: check.Want{Incidental: true}}
		if readFile(&f, min(left, maxCheckedFile)); errors.Is(f.Err, errNotRegular) {
			continue
		}
		left -= int64(len(f.Data))
		set = append(set, f)
	}
	return set, nil
}

// NamedFiles reads files by their names.
func NamedFiles(names ...string) check.Set {
	set := make(check.Set, len(names))
	for i, name := range names {
		set[i].Path = name
		readFile(&set[i], maxCheckedFile)
	}
	return set
}

// GivePassword reads a password for the keystores that have none.
func GivePassword(sets []check.Set, file string) error {
	password, err := encode.Secret{PasswordFile: file}.Read(os.ReadFile)
	if err != nil {
		return err
	}
	for _, set := range sets {
		for i := range set {
			if set[i].Want.Password == nil {
				set[i].Want.Password = &password
			}
		}
	}
	return nil
}

// namesBelow returns the names of the files below a directory. Those that begin
// with two dots are how svidhelper and Kubernetes publish, and lead to the same
// files once more. A link to a directory is not followed.
func namesBelow(dir string) (names []string, err error) {
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == ".":
			return err
		case strings.HasPrefix(d.Name(), "..") && d.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(d.Name(), ".."):
			return nil
		case err != nil || d.IsDir() && strings.Count(name, "/") >= maxCheckedDepth:
			return fs.SkipDir
		case d.IsDir() || leadsToDirectory(filepath.Join(dir, name), d):
			return nil
		case len(names) == maxCheckedFiles:
			return fmt.Errorf("%s has more than %d files: name those to check", dir, maxCheckedFiles)
		}
		names = append(names, name)
		return nil
	})
	return names, err
}

func leadsToDirectory(path string, d fs.DirEntry) bool {
	if d.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

var errNotRegular = errors.New("this is not a regular file")

// readFile reads one file, and its mode. It opens nothing but regular files, and
// waits for nothing.
func readFile(f *check.File, most int64) {
	info, err := os.Stat(f.Path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Err = explainRead(err)
		return
	}
	opened, err := os.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		f.Err = explainRead(err)
		return
	}
	defer opened.Close()
	if info, err = opened.Stat(); err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err == nil {
		f.Data, err = io.ReadAll(io.LimitReader(opened, most+1))
	}
	switch {
	case err != nil:
		f.Data, f.Err = nil, explainRead(err)
	case int64(len(f.Data)) > most:
		f.Data, f.Err = nil, fmt.Errorf("it is longer than the %d bytes that are looked at", most)
	case runtime.GOOS != "windows": // which has no such modes
		f.Mode = info.Mode().Perm()
	}
}

// explainRead says what to do about a file that cannot be read.
func explainRead(err error) error {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("it is not there")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied: check as the user who reads it, or as root")
	case errors.As(err, &pathErr):
		return pathErr.Err
	}
	return err
}
