package check

import "testing"

// TestKeystorePatience: a keystore that takes without end to open is given up.
func TestKeystorePatience(t *testing.T) {
	end := make(chan store)
	defer close(end)
	if s := inTime(1, func() store { return <-end }); s.err == nil {
		t.Error("it was opened")
	}
	if s := inTime(keystorePatience, func() store { return store{} }); s.err != nil {
		t.Error(s.err)
	}
}
