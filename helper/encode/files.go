package encode

import (
	"iter"
	"strings"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// uses yields every file that an output names, and what it is for.
func (o *Output) uses() iter.Seq2[FileSpec, Use] {
	type entry struct {
		file FileSpec
		use  Use
	}
	var all []entry
	add := func(kind snapshot.Kind, private bool, files ...FileSpec) {
		for _, f := range files {
			if f.Wanted() {
				all = append(all, entry{f, Use{kind, private}})
			}
		}
	}
	for i := range o.X509SVIDs {
		x := &o.X509SVIDs[i]
		add(snapshot.KindX509, false, x.Cert)
		add(snapshot.KindX509, true, x.Key, x.Combined)
		add(snapshot.KindBundle, false, x.Bundle, x.CRL)
		add(snapshot.KindX509|snapshot.KindBundle, true, x.PKCS12.file(), x.JKS.file())
		add(snapshot.KindBundle, false, x.truststoreFile())
		add(snapshot.KindX509, false, x.Hints)
		if x.Federated == FederatedSeparate {
			add(snapshot.KindBundle, false, x.FederatedFile)
		}
	}
	for i := range o.JWTSVIDs {
		add(snapshot.KindJWT, true, o.JWTSVIDs[i].File)
	}
	for i := range o.WITSVIDs {
		add(snapshot.KindWIT, true, o.WITSVIDs[i].Token, o.WITSVIDs[i].Key)
	}
	for i := range o.X509Bundles {
		add(snapshot.KindBundle, false, o.X509Bundles[i].File)
	}
	for i := range o.JWTBundles {
		add(snapshot.KindJWT, false, o.JWTBundles[i].File)
	}
	for i := range o.WITBundles {
		add(snapshot.KindWIT, false, o.WITBundles[i].File)
	}
	for i := range o.SPIFFEBundles {
		b := &o.SPIFFEBundles[i]
		add(b.kind(), false, b.File)
	}
	for i := range o.Templates {
		t := &o.Templates[i]
		add(t.Kind, t.Private, t.File)
	}
	add(snapshot.KindNone, false, o.Manifest)
	return func(yield func(FileSpec, Use) bool) {
		for _, e := range all {
			if !yield(e.file, e.use) {
				return
			}
		}
	}
}

// Written are the kinds of material that some file of the output is for.
func (o *Output) Written() snapshot.Kind {
	kinds := snapshot.KindNone
	for _, use := range o.uses() {
		kinds |= use.Kind
	}
	return kinds
}

// names reports whether the output names a file itself, without an answer.
func (o *Output) names(name string) bool {
	for f := range o.uses() {
		if !f.Varies() && f.Name == name {
			return true
		}
	}
	return false
}

// KindOf returns the kind of the file that a name on disk is of.
func (o *Output) KindOf(name string) snapshot.Kind {
	kind := snapshot.KindNone
	for f, use := range o.uses() {
		switch {
		case f.Varies():
			if kind == snapshot.KindNone && f.Matches(name) {
				kind = use.Kind
			}
		case f.Name == name: // no answer can take a configured name
			return use.Kind
		}
	}
	return kind
}

// sample fills the placeholders of a name with what no name objects to.
func sample(f FileSpec) string {
	name := f.Name
	for _, p := range Placeholders {
		if f.Has(p) {
			name = strings.ReplaceAll(name, string(p), "x")
		}
	}
	return name
}
