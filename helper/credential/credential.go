// Package credential gives one SVID the form in which a program reads it from the
// standard output of a command: a script, or one that runs a command for its
// credentials.
//
// It promises that each form is whole and stable: a field that is there stays,
// with its meaning; others may join it. What it returns can be printed, whatever a
// hint holds. It is pure: the SVID comes from the encoder, as for any other output.
//
// It does not promise that the SVID stays valid: each form but the bare token says
// until when it is. It makes no AWS keys. AWS alone gives those, in exchange for a
// token, and its own libraries do that exchange with a token in a file.
package credential

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/printable"
	"github.com/svidhelper/svidhelper/writer"
)

// A Form is what is printed.
type Form string

// The forms. A JWT-SVID has all of them, an X.509-SVID has JSON.
const (
	// Token is the bare token and a newline.
	Token Form = "token"
	// JSON is an object of our own.
	JSON Form = "json"
	// ExecCredential is what kubectl and other clients of Kubernetes read: an
	// ExecCredential of client.authentication.k8s.io/v1.
	ExecCredential Form = "exec-credential"
	// GCPExecutable is what Google's libraries read from the command of an
	// executable-sourced credential.
	GCPExecutable Form = "gcp-executable"
)

// Forms returns the forms of a JWT-SVID.
func Forms() []Form { return []Form{Token, JSON, ExecCredential, GCPExecutable} }

// place names, in messages, where an output goes that no directory gets.
const place = "stdout"

// The names of the encoder's files.
const (
	tokenFile     = "token"
	certFile      = "cert"
	keyFile       = "key"
	bundleFile    = "bundle"
	federatedDir  = "federated"
	federatedFile = federatedDir + "/" + string(encode.PlaceTrustDomain)
)

func named(name string) encode.FileSpec { return encode.FileSpec{Name: name} }

// JWTOutput is the output that PrintJWT prints: the token that j asks for. Its File
// is not looked at.
func JWTOutput(j encode.JWTSVID) encode.Output {
	j.File = named(tokenFile)
	return encode.Output{Spec: writer.Spec{Dir: place}, JWTSVIDs: []encode.JWTSVID{j}}
}

// X509Output is the output that PrintX509 prints: the SVID that s selects.
func X509Output(s encode.Selector) encode.Output {
	return encode.Output{Spec: writer.Spec{Dir: place}, X509SVIDs: []encode.X509SVID{{
		Select: s, Cert: named(certFile), Key: named(keyFile), Bundle: named(bundleFile),
		Federated: encode.FederatedSeparate, FederatedFile: named(federatedFile),
	}}}
}

// A jwtDocument is the form JSON of a JWT-SVID.
type jwtDocument struct {
	SPIFFEID string    `json:"spiffe_id"`
	Hint     string    `json:"hint,omitempty"`
	Audience []string  `json:"audience"` // those that were asked for
	Expires  time.Time `json:"expires"`  // in UTC
	Token    string    `json:"token"`
}

// An x509Document is the form JSON of an X.509-SVID. Certificates and the key are
// PEM, as in the files of an output.
type x509Document struct {
	SPIFFEID  string            `json:"spiffe_id"`
	Hint      string            `json:"hint,omitempty"`
	Serial    string            `json:"serial"`
	NotBefore time.Time         `json:"not_before"`
	Expires   time.Time         `json:"expires"`
	Cert      string            `json:"cert"` // leaf, then intermediates
	Key       string            `json:"key"`  // PKCS#8
	Bundle    string            `json:"bundle"`
	Federated map[string]string `json:"federated_bundles,omitempty"` // by trust domain
}

// An execCredential is Kubernetes' ExecCredential, as far as a plugin answers it.
type execCredential struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Status     execStatus `json:"status"`
}

type execStatus struct {
	Expires time.Time `json:"expirationTimestamp"`
	Token   string    `json:"token"`
}

// A gcpAnswer is the answer of an executable-sourced credential, version 1.
type gcpAnswer struct {
	Version   int    `json:"version"`
	Success   bool   `json:"success"`
	TokenType string `json:"token_type"`
	IDToken   string `json:"id_token"`
	Expires   int64  `json:"expiration_time"` // in seconds since 1970
}

// PrintJWT returns the JWT-SVID of a set that was encoded for JWTOutput.
func PrintJWT(form Form, set encode.Set) ([]byte, error) {
	if len(set.Identities) != 1 || len(set.Files) != 1 {
		return nil, fmt.Errorf("%d JWT-SVIDs where there should be one", len(set.Identities))
	}
	svid, token := set.Identities[0], string(set.Files[0].Data)
	switch form {
	case Token:
		return []byte(token + "\n"), nil
	case JSON:
		return document(jwtDocument{svid.ID.String(), svid.Hint, svid.Audience, svid.NotAfter, token})
	case ExecCredential:
		return document(execCredential{"client.authentication.k8s.io/v1", "ExecCredential", execStatus{svid.NotAfter, token}})
	case GCPExecutable:
		return document(gcpAnswer{1, true, "urn:ietf:params:oauth:token-type:jwt", token, svid.NotAfter.Unix()})
	}
	return nil, fmt.Errorf("a JWT-SVID has no form %q", string(form))
}

// PrintX509 returns the X.509-SVID of a set that was encoded for X509Output, as
// JSON.
func PrintX509(set encode.Set) ([]byte, error) {
	if len(set.Identities) != 1 {
		return nil, fmt.Errorf("%d X.509-SVIDs where there should be one", len(set.Identities))
	}
	svid := set.Identities[0]
	d := x509Document{
		SPIFFEID: svid.ID.String(), Hint: svid.Hint, Serial: svid.Serial,
		NotBefore: svid.NotBefore, Expires: svid.NotAfter, Federated: map[string]string{},
	}
	for _, f := range set.Files {
		text := string(f.Data)
		switch f.Name {
		case certFile:
			d.Cert = text
		case keyFile:
			d.Key = text
		case bundleFile:
			d.Bundle = text
		default:
			d.Federated[path.Base(f.Name)] = text
		}
	}
	return document(d)
}

// document is a JSON document, with a newline at its end.
func document(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return printable.JSON(out.Bytes()), nil
}
