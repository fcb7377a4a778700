package check

import (
	"crypto"
	"crypto/x509"
)

// A family is the private keys of one set, and what they belong to, by public key.
type family struct {
	keys, owners map[string]*material
	orphan       *material // a key that belongs to nothing; nil: none
}

func familyOf(set []*material) family {
	f := family{keys: map[string]*material{}, owners: map[string]*material{}}
	first := func(in map[string]*material, public crypto.PublicKey, m *material) {
		if name := nameOf(public); name != "" && in[name] == nil {
			in[name] = m
		}
	}
	for _, m := range set {
		if m.key != nil {
			first(f.keys, m.key.Public(), m)
		}
		if len(m.certs) > 0 {
			first(f.owners, m.certs[0].PublicKey, m)
		}
		if m.token != nil && m.token.bound != nil {
			first(f.owners, m.token.bound, m)
		}
	}
	for _, m := range set {
		if m.key != nil && f.owners[nameOf(m.key.Public())] == nil {
			f.orphan = m
			break
		}
	}
	return f
}

// nameOf is what two public keys have in common only if they are the same.
func nameOf(public crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return ""
	}
	return string(der)
}

func samePublic(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// pair looks for the private key of an X.509-SVID: in its own file, then among
// those of the set.
func (c *checker) pair(m *material, f family) {
	const section = "SPIFFE-ID 3.2"
	public := m.certs[0].PublicKey
	key := f.keys[nameOf(public)]
	if m.key != nil && samePublic(m.key.Public(), public) {
		key = m
	}
	switch {
	case m.key != nil && key != m:
		m.item.problem(section, "the private key in the same file belongs to another certificate")
	case key != nil:
		m.item.ok(section, "the private key in %s belongs to it", key.file.Path)
	case f.orphan != nil:
		m.item.problem(section, "its private key is not there: the one in %s belongs to another certificate", f.orphan.file.Path)
	default:
		m.item.warn(section, "its private key is not among the files")
	}
}

// boundPair looks for the private key that a WIT-SVID is bound to.
func (c *checker) boundPair(m *material, f family) {
	const section = "WIT-SVID 3.2"
	if m.token.bound == nil {
		return
	}
	switch key := f.keys[nameOf(m.token.bound)]; {
	case key != nil:
		m.item.ok(section, "the private key in %s is the one that it is bound to", key.file.Path)
	case f.orphan != nil:
		m.item.problem(section, "the private key that it is bound to is not there: the one in %s is another", f.orphan.file.Path)
	default:
		m.item.warn(section, "the private key that it is bound to is not among the files")
	}
}

// owned checks that a private key belongs to something.
func (c *checker) owned(m *material, f family) {
	const section = "SPIFFE-ID 3.2"
	switch owner := f.owners[nameOf(m.key.Public())]; {
	case owner != nil:
		m.item.ok(section, "it belongs to %s", owner.file.Path)
	case len(f.owners) > 0:
		m.item.problem(section, "it belongs to no SVID that is beside it")
	default:
		m.item.warn(section, "the SVID that it belongs to is not among the files")
	}
}
