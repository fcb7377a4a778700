package encode

import (
	"fmt"
	"path"

	"github.com/svidhelper/svidhelper/writer"
)

// Check finds out, without touching anything, whether an output can be
// published. An error says what to change. Names that only an answer makes
// equal are found when it is encoded.
func Check(o *Output) error {
	for f := range o.uses() {
		if err := writer.CheckName(sample(f)); err != nil {
			return fmt.Errorf("output %s: %w", o.Dir, err)
		}
	}
	return writer.Check(o.Spec, o.known())
}

// Warnings says what is allowed in an output and against the advice of the SPIFFE
// standards, each with what to write instead. It does not look at the disk.
//
// A file with the authorities of several trust domains has a verifier accept an
// SVID of one that another has issued: they are never to be mixed (SPIFFE Workload
// API 4.6, SPIFFE Federation 4.2).
func Warnings(o *Output) []string {
	var all []string
	mixed := func(f FileSpec, instead string) {
		all = append(all, fmt.Sprintf("several trust domains go into one file, %s, and each of them can then issue SVIDs in the name of the others: %s", path.Join(o.Dir, f.Name), instead))
	}
	for i := range o.X509SVIDs {
		if x := &o.X509SVIDs[i]; x.Federated == FederatedMerge {
			mixed(x.Bundle, `write federated_bundles = "separate" (include_federated_domains is "merge")`)
		}
	}
	const oneEach = `name one in trust_domains, or write {trust_domain} in the file's name (format = "spiffe" is then possible too)`
	for _, b := range o.X509Bundles {
		if len(b.TrustDomains) != 1 && b.Format != FormatSPIFFE && !b.File.Has(PlaceTrustDomain) {
			mixed(b.File, oneEach)
		}
	}
	for _, b := range o.JWTBundles {
		if len(b.TrustDomains) != 1 && b.Format == FormatJWKS && !b.File.Has(PlaceTrustDomain) {
			mixed(b.File, oneEach)
		}
	}
	for _, b := range o.WITBundles {
		if len(b.TrustDomains) != 1 && b.Format == FormatJWKS && !b.File.Has(PlaceTrustDomain) {
			mixed(b.File, oneEach)
		}
	}
	return all
}

// WarningsHere says what is unwise about the place where an output goes, and the
// rights there. It looks at the disk, and touches nothing.
func WarningsHere(o *Output) []string {
	all := writer.Warnings(o.Spec, o.known())
	for f, use := range o.uses() {
		if mode := o.Mode(f, use.Private); use.Private && mode&0o004 != 0 {
			all = append(all, fmt.Sprintf("every user will be able to read the private key or token in %s: its mode is %04o", path.Join(o.Dir, f.Name), mode))
		}
	}
	return all
}

// PrivateFiles are the files with a private key or a token whose names are known
// before the first answer, without their bytes.
func (o *Output) PrivateFiles() []writer.File {
	var files []writer.File
	for f, use := range o.uses() {
		if use.Private && !f.Varies() {
			files = append(files, writer.File{Name: f.Name, Mode: o.Mode(f, true), Owner: f.Owner, Group: f.Group})
		}
	}
	return files
}

// known are the files whose names are known before the first answer, without
// their bytes.
func (o *Output) known() []writer.File {
	var files []writer.File
	for f, use := range o.uses() {
		if !f.Varies() {
			files = append(files, writer.File{Name: f.Name, Mode: o.Mode(f, use.Private), Owner: f.Owner, Group: f.Group})
		}
	}
	return files
}
