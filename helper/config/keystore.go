package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/keystore"
)

// checkForms sees that the forms of an X.509-SVID's files go together.
func (d *decoder) checkForms(x *encode.X509SVID, at places) {
	der := x.Encoding == encode.EncodingDER
	encrypted := x.KeySecret != (encode.Secret{})
	switch {
	case der && at.has("combined"):
		d.errorf(at.of("combined"), "write it in an x509_svid of its own", "combined: a private key and certificates in one file are PEM, and encoding is der")
	case der && at.has("crl"):
		d.errorf(at.of("crl"), "write it in an x509_svid of its own", "crl: revocation lists are PEM, and encoding is der")
	case at.has("hints") && !x.Cert.Wanted() && !x.Combined.Wanted():
		d.errorf(at.of("hints"), "write cert or combined", "hints: there is no file of an SVID that they could be of")
	case at.has("key_password") && at.has("key_password_file"):
		d.errorf(at.of("key_password"), "", "give one of key_password and key_password_file")
	case encrypted && !x.Key.Wanted() && !x.Combined.Wanted():
		d.errorf(at.of("key_password", "key_password_file"), "write key or combined", "there is no private key to encrypt")
	case encrypted && x.KeyEncoding == encode.KeyTraditional:
		d.errorf(at.of("key_password", "key_password_file"), `write key_encoding = "pkcs8"`, "only PKCS#8 is encrypted: what encrypts a traditional private key is broken")
	}
}

func pkcs12Table(k *encode.Keystore) *block { return keystoreTable("pkcs12", k) }

func jksTable(k *encode.Keystore) *block {
	b := keystoreTable("jks", k)
	b.fields = slices.DeleteFunc(b.fields, func(f field) bool { return f.key == "encryption" })
	return b
}

func keystoreTable(name string, k *encode.Keystore) *block {
	return &block{name: name, fields: append([]field{
		{key: "file", doc: "its name", needed: `file = "keystore"`, value: file(&k.File, true, placesOfSVID...)},
		{key: "alias", doc: "the entry's name, instead of the SPIFFE ID", value: alias(&k.Alias)},
		{key: "root", doc: "the authority stands at the chain's end, not among the trusted", value: boolean(&k.Root, true)},
	}, secretFields(&k.Secret, &k.Encryption)...), check: func(d *decoder, at places) {
		d.checkSecret(name, name == "jks", k.Secret, k.Encryption, at)
	}}
}

func keystoreFile(k *encode.Keystore) *encode.FileSpec {
	if k == nil {
		return nil
	}
	return &k.File
}

func truststoreFile(t *encode.X509Bundle) *encode.FileSpec {
	if t == nil {
		return nil
	}
	return &t.File
}

func truststoreTable(t *encode.X509Bundle) *block {
	format := &t.Format
	return &block{name: "truststore", fields: append([]field{
		{key: "file", doc: "its name", needed: `file = "truststore"`, value: file(&t.File, false, placesOfSVID...)},
		{key: "format", doc: "pkcs12 or jks", needed: `format = "pkcs12" or format = "jks"`, value: constant(format, "", encode.FormatPKCS12, encode.FormatJKS)},
	}, secretFields(&t.Secret, &t.Encryption)...), check: func(d *decoder, at places) { d.checkTruststore("truststore", t, at) }}
}

// secretFields are the keys of whatever has a password.
func secretFields(s *encode.Secret, e *keystore.Encryption) []field {
	return []field{
		{key: "password", doc: "password_file is better", value: password(&s.Password, "password_file")},
		{key: "password_file", doc: "read at each publish", value: text(&s.PasswordFile)},
		{key: "encryption", doc: "of PKCS#12: modern, legacy (triple DES, for old Java) or none, and then no password", value: constant(e, "modern", keystore.Legacy, keystore.None)},
	}
}

// checkTruststore sees to what only trust stores have.
func (d *decoder) checkTruststore(name string, t *encode.X509Bundle, at places) {
	if t.Format != encode.FormatPKCS12 && t.Format != encode.FormatJKS {
		for _, key := range []string{"password", "password_file", "encryption"} {
			if at.has(key) {
				d.errorf(at.of(key), `write format = "pkcs12" or format = "jks"`, "%s is for trust stores", key)
			}
		}
		return
	}
	if t.Format == encode.FormatJKS && at.has("encryption") {
		d.errorf(at.of("encryption"), `write format = "pkcs12"`, "encryption is for PKCS#12: a Java KeyStore has its own")
	}
	d.checkSecret(name, t.Format == encode.FormatJKS, t.Secret, t.Encryption, at)
}

// checkSecret sees that there is one password where there has to be one.
func (d *decoder) checkSecret(name string, jks bool, s encode.Secret, e keystore.Encryption, at places) {
	given := at.has("password") || at.has("password_file")
	switch where := at.of("password", "password_file"); {
	case e == keystore.None && given:
		d.errorf(where, "leave it out", `encryption = "none" has no password`)
	case e == keystore.None:
	case at.has("password") == at.has("password_file") && !at.odd:
		hint := ""
		if !given && !jks {
			hint = `without a password, write encryption = "none"`
		}
		d.errorf(where, hint, "%s needs one of password and password_file", name)
	case jks && keystore.CheckJKSPassword(s.Password) != nil:
		d.errorf(where, "", "password: %v", keystore.CheckJKSPassword(s.Password))
	}
}

// password is a password in the file itself.
func password(dst *string, better string) scalar {
	return checked(dst, func(s string) (string, error) {
		switch {
		case s == "":
			return "write a password, or name a file that holds one: " + better, errors.New("is empty")
		case hasControl(s):
			return "", errors.New("has a control character, such as the line break at the end of a heredoc")
		}
		return "", nil
	})
}

// maxAlias is how long an alias may be, in bytes.
const maxAlias = 255

func alias(dst *string) scalar {
	return checked(dst, func(s string) (string, error) {
		switch {
		case s == "":
			return "give it a value or leave it out", errors.New("is empty")
		case hasControl(s) || strings.TrimSpace(s) != s:
			return "", errors.New("an alias has no control characters, and no space at its ends")
		case len(s) > maxAlias:
			return "", errors.New("an alias has at most 255 bytes")
		}
		return "", nil
	})
}
