package config

import (
	"slices"

	"github.com/svidhelper/svidhelper/helper/encode"
)

// A layout is a set of names that other programs know. It stands for the blocks that
// one would write for it, and is printed as those.
type layout struct {
	name    string
	svid    encode.X509SVID
	bundles []encode.X509Bundle
}

// layoutNames are the names of layouts.
var layoutNames = []word[string]{{"spiffe", "spiffe"}, {"spire-agent", "spire-agent"}}

// layouts returns the layouts.
func layouts() []layout {
	named := func(name string) encode.FileSpec { return encode.FileSpec{Name: name} }
	all := encode.Selector{All: true}
	return []layout{
		// The draft "SPIFFE Filesystem Delivery", and spiffefs, which follows it.
		{"spiffe",
			encode.X509SVID{Select: all, Combined: named("{index.}credential-bundle.private-key.x509.pem"), Hints: named("hints.json")},
			[]encode.X509Bundle{{File: named("{trust_domain}.spiffe-trust-bundle.x509.pem")}}},
		// What "spire-agent api fetch x509 -write DIR" writes.
		{"spire-agent",
			encode.X509SVID{Select: all, Cert: named("svid.{index}.pem"), Key: named("svid.{index}.key"), Bundle: named("bundle.{index}.pem"),
				Federated: encode.FederatedSeparate, FederatedFile: named("federated_bundle.{index}.{n}.pem")},
			nil},
	}
}

// layoutKey is the name of a layout, which is not printed.
var layoutKey = scalar{
	take: func(d *decoder, n *node) { d.layout, _ = oneOf(d, n, layoutNames) },
	form: func() schema { return schema{"enum": textsOf(layoutNames)} },
}

// layOut adds the blocks that a layout stands for.
func (d *decoder) layOut(o *encode.Output, at places) {
	name := d.layout
	d.layout = ""
	i := slices.IndexFunc(layouts(), func(l layout) bool { return l.name == name })
	if i < 0 {
		return
	}
	l := layouts()[i]
	o.X509SVIDs = append(o.X509SVIDs, l.svid)
	o.X509Bundles = append(o.X509Bundles, l.bundles...)
	add := func(key string, f encode.FileSpec, secret bool) {
		if f.Wanted() {
			d.files = append(d.files, namedFile{f, "layout: " + key, at.of("layout"), secret})
		}
	}
	add("cert", l.svid.Cert, false)
	add("key", l.svid.Key, true)
	add("bundle", l.svid.Bundle, false)
	add("combined", l.svid.Combined, true)
	add("hints", l.svid.Hints, false)
	add("federated_file", l.svid.FederatedFile, false)
	for _, b := range l.bundles {
		add("x509_bundle", b.File, false)
	}
}
