package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"sort"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// image writes an OCI image layout, in a tar, with an index of the images for each
// architecture of Linux. An image is from scratch: the binary and nothing else, for
// a user that is not root, and it writes nowhere but where a volume is mounted.
func (r *release) image(builds []*build) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	linux := 0
	for _, b := range builds {
		if b.os != "linux" {
			continue
		}
		img, err := r.imageOf(b)
		if err != nil {
			return err
		}
		linux++
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: b.os, Architecture: b.arch}}})
	}
	if linux == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "oci")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// What Podman calls the image that it loads, and what containerd does, and so Docker.
	name := "svidhelper:" + r.version
	called := map[string]string{"org.opencontainers.image.ref.name": name, "io.containerd.image.name": "docker.io/library/" + name}
	if err := l.AppendIndex(index, layout.WithAnnotations(called)); err != nil {
		return err
	}
	entries, err := everything(dir)
	if err != nil {
		return err
	}
	return create(filepath.Join(r.dist, "svidhelper_"+r.version+"_oci.tar"), func(w io.Writer) error { return r.writeTar(w, "", entries) })
}

func (r *release) imageOf(b *build) (v1.Image, error) {
	var layer bytes.Buffer
	if err := r.writeTar(&layer, "", []entry{{"svidhelper", b.binary, 0o755}}); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{Layer: l, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: r.time}, Comment: "the binary"}})
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = b.os, b.arch, v1.Time{Time: r.time}
	cfg.Config = v1.Config{User: "65532:65532", Entrypoint: []string{"/svidhelper"}, WorkingDir: "/", Labels: map[string]string{
		"org.opencontainers.image.title":    "svidhelper",
		"org.opencontainers.image.version":  r.version,
		"org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.source":   r.repo,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}}
	return mutate.ConfigFile(img, cfg)
}

// everything returns the files below dir, in the order of their names.
func everything(dir string) ([]entry, error) {
	var all []entry
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, entry{filepath.ToSlash(name), path, 0o644})
		return err
	})
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, err
}
