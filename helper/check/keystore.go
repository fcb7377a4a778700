package check

import (
	"errors"
	"fmt"
	"time"

	"github.com/svidhelper/svidhelper/helper/unseal"
)

// keystorePatience is how long it may take to open a keystore. How long it takes
// is written in the keystore itself, as a count of iterations.
const keystorePatience = 10 * time.Second

// keystore opens a keystore, and checks what is in it as if it stood in files.
func (c *checker) keystore(m *material) {
	data, section := m.file.Data, "RFC 7292 4"
	if unseal.IsJKS(data) {
		section = ""
	}
	how := "opened with its password"
	switch {
	case unseal.IsJCEKS(data):
		m.item.warn("", "JCEKS: not looked at; JKS and PKCS#12 are")
		return
	case c.impatient:
		m.item.problem("", notOpened)
		return
	case !unseal.NeedsPassword(data):
		how = "opened without a password: it has none"
	case m.file.Want.Password == nil:
		m.item.warn("", "not opened: -password-file names a file that holds its password")
		return
	}
	opened, err := inTime(c, keystorePatience, func() (unseal.Store, error) { return unseal.Keystore(data, m.password()) })
	if err != nil {
		m.item.problem(section, "it cannot be opened: %v", err)
		return
	}
	m.item.ok(section, "%s", how)
	m.key = opened.Key
	trusted := opened.Trusted
	if len(trusted) > 0 {
		m.trust = append(m.trust, trust{path: m.file.Path, x509: trusted})
	}
	if len(opened.Chain) > 0 {
		m.certs = opened.Chain
		c.x509SVID(m)
	}
	if len(trusted) > 0 {
		c.signing(m.item, trusted, "authority")
	}
}

// password is that of a keystore that needs one.
func (m *material) password() string {
	if !unseal.NeedsPassword(m.file.Data) {
		return ""
	}
	return *m.file.Want.Password
}

const notOpened = "not opened: another keystore takes too long; check this one by itself"

var errSlow = errors.New("it takes longer")

// inTime opens what has a password, or gives up: what has begun ends by itself, too
// late.
func inTime[T any](c *checker, patience time.Duration, open func() (T, error)) (T, error) {
	type answer struct {
		what T
		err  error
	}
	opened := make(chan answer, 1)
	go func() {
		what, err := open()
		opened <- answer{what, err}
	}()
	select {
	case a := <-opened:
		return a.what, a.err
	case <-time.After(patience):
		c.impatient = true
		return *new(T), fmt.Errorf("%w than %v", errSlow, patience)
	}
}

// encryptedKey opens a private key that has a password, and returns PKCS#8, or nil.
func (c *checker) encryptedKey(m *material, der []byte) []byte {
	switch {
	case m.file.Want.Password == nil:
		m.item.warn("RFC 5958 3", "the private key is encrypted: -password-file names a file that holds its password")
		return nil
	case c.impatient:
		m.item.problem("", notOpened)
		return nil
	}
	plain, err := inTime(c, keystorePatience, func() ([]byte, error) { return unseal.Key(der, *m.file.Want.Password) })
	if err != nil {
		m.item.problem("RFC 5958 3", "the private key cannot be opened: %v", err)
		return nil
	}
	return plain
}
