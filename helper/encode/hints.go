package encode

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// A hintsFile says which SVID has which hint (SPIFFE Filesystem Delivery, a draft).
type hintsFile struct {
	Hints []hintEntry `json:"hints"`
}

type hintEntry struct {
	Hint string `json:"hint"`
	ID   int    `json:"id"`
	// Fingerprint is that of the file that holds the SVID, as sha256sum prints it.
	Fingerprint string `json:"fingerprint"`
}

// add adds an SVID, by its number among those selected and its file.
func (h *hintsFile) add(hint string, index int, file []byte) {
	sum := sha256.Sum256(file)
	h.Hints = append(h.Hints, hintEntry{hint, index, "sha256:" + hex.EncodeToString(sum[:])})
}

func (h *hintsFile) encode() []byte {
	data, _ := json.MarshalIndent(h, "", "  ") // strings and numbers, which cannot fail
	return append(data, '\n')
}
