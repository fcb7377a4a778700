package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// An entry is a file of an archive: what it is called there, and where it is.
type entry struct {
	name, path string
	mode       int64
}

// contents returns what is in an archive beside the program: what a user who has the
// archive alone needs.
func (r *release) contents(b *build) []entry {
	all := []entry{{filepath.Base(b.binary), b.binary, 0o755}, {"THIRD_PARTY_NOTICES", b.notices, 0o644}}
	add := func(name string) { all = append(all, entry{name, filepath.Join(r.top, name), int64(r.mode(name))}) }
	add("LICENSE")
	r.documents(add)
	if b.os != "windows" {
		for _, m := range manuals {
			add(m.source)
		}
	}
	return all
}

// archives writes a tar.gz for each Unix, and a zip for Windows.
func (r *release) archives(builds []*build) error {
	for _, b := range builds {
		suffix, write := ".tar.gz", r.writeTarGz
		if b.os == "windows" {
			suffix, write = ".zip", r.writeZip
		}
		top := fmt.Sprintf("svidhelper_%s_%s_%s/", r.version, b.os, b.arch)
		if err := write(r.name(b.platform, suffix), top, r.contents(b)); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) writeTarGz(path, top string, entries []entry) error {
	return create(path, func(f io.Writer) error {
		z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
		if err != nil {
			return err
		}
		if err := r.writeTar(z, top, entries); err != nil {
			return err
		}
		return z.Close()
	})
}

func (r *release) writeTar(w io.Writer, top string, entries []entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		content, err := os.ReadFile(e.path)
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: top + e.name, Size: int64(len(content)), Mode: e.mode, ModTime: r.time, Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return t.Close()
}

func (r *release) writeZip(path, top string, entries []entry) error {
	return create(path, func(f io.Writer) error {
		z := zip.NewWriter(f)
		for _, e := range entries {
			content, err := os.ReadFile(e.path)
			if err != nil {
				return err
			}
			if strings.HasSuffix(e.name, ".md") || strings.HasSuffix(e.name, ".example") {
				content = []byte(strings.ReplaceAll(string(content), "\n", "\r\n"))
			}
			w, err := z.CreateHeader(&zip.FileHeader{Name: top + e.name, Method: zip.Deflate, Modified: r.time})
			if err != nil {
				return err
			}
			if _, err := w.Write(content); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

// create writes a file and says what became of it.
func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
