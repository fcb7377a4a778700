package helper

import (
	"slices"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/source"
)

// Needs says what the outputs need of the Workload API, so that nothing else is
// asked for, and what of that the process can start without.
func Needs(c *config.Config) source.Needs {
	var n source.Needs
	for _, o := range c.Outputs {
		n.X509 = n.X509 || len(o.X509SVIDs) > 0
		n.X509Bundles = n.X509Bundles || len(o.X509Bundles) > 0
		n.JWTBundles = n.JWTBundles || len(o.JWTBundles) > 0
		n.WIT = n.WIT || len(o.WITSVIDs) > 0
		n.WITBundles = n.WITBundles || len(o.WITBundles) > 0
		for i := range o.SPIFFEBundles {
			b := &o.SPIFFEBundles[i]
			n.X509Bundles = n.X509Bundles || b.Has(encode.AuthorityX509)
			n.JWTBundles = n.JWTBundles || b.Has(encode.AuthorityJWT)
			n.WITBundles = n.WITBundles || b.Has(encode.AuthorityWIT)
		}
		for _, j := range o.JWTSVIDs {
			n.JWTSVIDs = append(n.JWTSVIDs, j.Request())
		}
	}
	slices.SortFunc(n.JWTSVIDs, snapshot.JWTRequest.Compare)
	n.JWTSVIDs = slices.Compact(n.JWTSVIDs)
	if c.Process == nil {
		return n
	}
	for _, p := range source.Profiles() {
		if c.Process.StartWithout.Has(publish.KindOf(p)) {
			n.Dispensable = append(n.Dispensable, p)
		}
	}
	return n
}

func sourceConfig(c *config.Config) source.Config {
	return source.Config{
		Address: c.AgentAddress,
		Needs:   Needs(c),
	}
}
