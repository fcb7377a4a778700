package check

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// A hint is what hints.json says of one SVID (SPIFFE Filesystem Delivery, a draft).
type hint struct {
	Hint        string `json:"hint"`
	ID          *int   `json:"id"`
	Fingerprint string `json:"fingerprint"`
}

// hints reads which SVID of a folder has which hint.
func (c *checker) hints(m *material, raw json.RawMessage) {
	m.item.Kind = Hints
	if json.Unmarshal(raw, &m.hints) != nil {
		m.item.problem("", "hints has to be an array of hint, id and fingerprint")
		return
	}
	for n, h := range m.hints {
		if h.ID == nil {
			m.item.problem("", "hint %d has no id", n+1)
		}
	}
	m.item.ok("", "hints of SVIDs: %d", len(m.hints))
}

// hinted looks for the files that hints are of, by their fingerprints.
func (c *checker) hinted(m *material, set []*material) {
	there := map[string]bool{}
	for _, other := range set {
		if len(other.certs) > 0 {
			sum := sha256.Sum256(other.file.Data)
			there["sha256:"+hex.EncodeToString(sum[:])] = true
		}
	}
	if len(m.hints) > 0 && len(there) == 0 {
		m.item.warn("", "not compared: the SVIDs are not among the files")
		return
	}
	for n, h := range m.hints {
		if !there[h.Fingerprint] {
			m.item.problem("", "no file of an SVID has the fingerprint of hint %d", n+1)
		}
	}
}
