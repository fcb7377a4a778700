package check

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// bundleMap reads trust domain names with the base64 of their JWKS, as
// spiffe-helper writes it.
func (c *checker) bundleMap(m *material, members map[string]json.RawMessage) {
	m.item.Kind = BundleMap
	c.each(m, members, "RFC 4648 4", func(raw json.RawMessage) []byte {
		data, _ := base64.StdEncoding.DecodeString(textOf(raw))
		return data
	})
}

// spiffeBundleMap reads a SPIFFE bundle map (SPIFFE Trust Domain and Bundle 5.1).
func (c *checker) spiffeBundleMap(m *material, raw json.RawMessage) {
	m.item.Kind = BundleMap
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		m.item.problem(bundleStandard+"5.1.1", "trust_domains is not an object")
		return
	}
	c.each(m, members, bundleStandard+"5.1.1", func(raw json.RawMessage) []byte { return raw })
}

// each checks the document of each trust domain.
func (c *checker) each(m *material, members map[string]json.RawMessage, section string, decode func(json.RawMessage) []byte) {
	var names []string
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) > maxKeys {
		m.item.problem("", "%d trust domains: %d is the most", len(names), maxKeys)
		return
	}
	for _, name := range names {
		prefix := fmt.Sprintf("%.100s: ", strings.ToValidUTF8(name, "?"))
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil || td.Name() != name || len(name) > maxTrustDomain {
			m.item.problem("SPIFFE-ID 2.1", "%snot the name of a trust domain", prefix)
			continue
		}
		m.item.TrustDomains = append(m.item.TrustDomains, name)
		data := decode(members[name])
		if len(data) == 0 {
			m.item.problem(section, "%sit does not parse", prefix)
			continue
		}
		var d document
		if d.parse(m.item, data) {
			c.document(m, &d, prefix, td)
		}
	}
	if len(names) == 0 {
		m.item.warn(section, "no trust domain is in it")
	}
}
