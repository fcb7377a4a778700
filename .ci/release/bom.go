package main

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// A part is a module that is linked, or the standard library.
type part struct{ name, version, purl string }

// parts returns what the linker has put into a program, by its own account.
func (b *build) parts() []part {
	all := []part{{"stdlib", b.info.GoVersion, purl("stdlib", b.info.GoVersion[len("go"):])}}
	for _, m := range b.modules() {
		all = append(all, part{m.Path, m.Version, purl(m.Path, m.Version)})
	}
	return all
}

func purl(name, version string) string { return "pkg:golang/" + name + "@" + version }

// boms writes the software bill of materials of each program, as CycloneDX and as
// SPDX.
func (r *release) boms(builds []*build) error {
	for _, b := range builds {
		sum, err := digest(b.binary)
		if err != nil {
			return err
		}
		err = create(r.name(b.platform, ".cdx.json"), func(w io.Writer) error {
			return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(r.cycloneDX(b, sum))
		})
		if err != nil {
			return err
		}
		err = create(r.name(b.platform, ".spdx.json"), func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(r.spdx(b, sum))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// main returns our own module, as the version of the release.
func (r *release) main(info *debug.BuildInfo) part {
	return part{info.Main.Path, r.version, purl(info.Main.Path, "v"+r.version)}
}

func (r *release) cycloneDX(b *build, sum string) *cdx.BOM {
	own := r.main(b.info)
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: r.time.Format("2006-01-02T15:04:05Z"),
		Component: &cdx.Component{BOMRef: own.purl, Type: cdx.ComponentTypeApplication, Name: own.name, Version: own.version, PackageURL: own.purl,
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}},
	}
	var components []cdx.Component
	var refs []string
	for _, p := range b.parts() {
		components = append(components, cdx.Component{BOMRef: p.purl, Type: cdx.ComponentTypeLibrary, Name: p.name, Version: p.version, PackageURL: p.purl})
		refs = append(refs, p.purl)
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: own.purl, Dependencies: &refs}}
	return bom
}

func (r *release) spdx(b *build, sum string) *spdx.Document {
	own := r.main(b.info)
	d := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      filepath.Base(r.name(b.platform, "")),
		DocumentNamespace: fmt.Sprintf("%s/releases/%s/%s/%s/%s", r.repo, r.version, b.os, b.arch, sum),
		CreationInfo: &spdx.CreationInfo{Created: r.time.Format("2006-01-02T15:04:05Z"),
			Creators: []common.Creator{{CreatorType: "Organization", Creator: "svidhelper maintainers"}}},
	}
	add := func(id string, p part) *spdx.Package {
		d.Packages = append(d.Packages, &spdx.Package{
			PackageName: p.name, PackageSPDXIdentifier: common.ElementID(id), PackageVersion: p.version,
			PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
			PackageExternalReferences: []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: p.purl}},
		})
		return d.Packages[len(d.Packages)-1]
	}
	relate := func(from, kind, to string) {
		d.Relationships = append(d.Relationships, &spdx.Relationship{RefA: common.MakeDocElementID("", from), RefB: common.MakeDocElementID("", to), Relationship: kind})
	}
	top := add("svidhelper", own)
	top.PackageLicenseDeclared, top.PackageLicenseConcluded = "Apache-2.0", "Apache-2.0"
	top.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: sum}}
	relate("DOCUMENT", "DESCRIBES", "svidhelper")
	for i, p := range b.parts() {
		id := fmt.Sprintf("module-%d", i)
		add(id, p)
		relate("svidhelper", "CONTAINS", id)
	}
	return d
}
