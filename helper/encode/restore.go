package encode

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/writer"
)

// Fingerprint stands for everything that the configuration says of an output.
func Fingerprint(o *Output) string {
	text, err := json.Marshal(o)
	if err != nil {
		return "" // which is no output's
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Restore returns the set that an earlier run has left on disk, or why a process
// cannot start on it: a file is missing, does not parse or belongs to another
// set; an SVID has expired or is not allowed. That it is of the same
// configuration is for the caller to know (Fingerprint). What a file alone
// cannot show is not accepted: all = true, and a keystore without the
// certificate beside it. The X.509-SVIDs are those of the set.
func Restore(o *Output, read func(name string) ([]byte, error), now time.Time) (Set, []snapshot.X509SVID, error) {
	r := &restoring{output: o, read: read, now: now}
	for sel := range o.Selections() {
		if err := r.restore(sel); err != nil {
			return Set{}, nil, fmt.Errorf("%s: %w", o.Describe(sel), err)
		}
	}
	if o.Manifest.Wanted() {
		if _, err := r.file(o.Manifest, Use{}); err != nil {
			return Set{}, nil, err
		}
	}
	return r.set, r.svids, nil
}

type restoring struct {
	output *Output
	read   func(name string) ([]byte, error)
	now    time.Time
	set    Set
	svids  []snapshot.X509SVID
}

func (r *restoring) restore(sel Selection) error {
	kind := sel.Block.kind()
	switch sel.Block {
	case BlockX509SVID:
		return r.x509SVID(sel)
	case BlockJWTSVID:
		return r.jwtSVID(sel)
	case BlockWITSVID:
		return r.witSVID(sel)
	}
	data, err := r.file(r.output.files(sel)[0], Use{Kind: kind})
	if err == nil && sel.Block == BlockX509Bundle && r.output.X509Bundles[sel.Index].Format != FormatSPIFFE {
		_, err = parseCerts(data)
	}
	return err
}

// file reads a file of the set.
func (r *restoring) file(f FileSpec, use Use) ([]byte, error) {
	if !f.Wanted() {
		return nil, nil
	}
	if f.Varies() {
		return nil, fmt.Errorf("%q is named by an answer of the Workload API", f.Name)
	}
	data, err := r.read(f.Name)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%q is empty", f.Name)
	}
	r.set.Files = append(r.set.Files, writer.File{Name: f.Name, Data: data, Mode: r.output.Mode(f, use.Private), Owner: f.Owner, Group: f.Group})
	r.set.Uses = append(r.set.Uses, use)
	return data, nil
}

func (r *restoring) x509SVID(sel Selection) error {
	want := &r.output.X509SVIDs[sel.Index]
	if want.Select.All {
		return errors.New("with all = true, only the Workload API tells which files there should be")
	}
	var names []string
	read := func(f FileSpec, kind snapshot.Kind, private bool) []byte {
		data, err := r.file(f, Use{kind, private})
		if err != nil {
			names = append(names, err.Error())
		}
		return data
	}
	combined := read(want.Combined, snapshot.KindX509, true)
	cert, key := read(want.Cert, snapshot.KindX509, false), read(want.Key, snapshot.KindX509, true)
	bundle := read(want.Bundle, snapshot.KindBundle, false)
	both := snapshot.KindX509 | snapshot.KindBundle
	read(want.PKCS12.file(), both, true)
	read(want.JKS.file(), both, true)
	if len(names) > 0 {
		return errors.New(strings.Join(names, ", "))
	}
	if cert == nil {
		cert = combined
	}
	if key == nil {
		key = combined
	}
	if cert == nil {
		return errors.New("there is no certificate in PEM that could be checked")
	}
	id, err := r.checkX509(want, cert, key, bundle)
	if err != nil {
		return err
	}
	id.Selection = sel
	for _, f := range want.files() {
		if f.Wanted() && !f.Varies() && f.Name != want.CRL.Name {
			id.Files = append(id.Files, f.Name)
		}
	}
	r.set.Identities = append(r.set.Identities, id)
	return nil
}

// checkX509 checks a pair against its bundle, where there is one.
func (r *restoring) checkX509(want *X509SVID, cert, key, bundle []byte) (Identity, error) {
	var none Identity
	certs, err := parseCerts(cert)
	if err != nil {
		return none, err
	}
	id, err := x509svid.IDFromCert(certs[0])
	if err != nil {
		return none, err
	}
	svid := snapshot.X509SVID{SVID: &x509svid.SVID{ID: id, Certificates: certs, Hint: want.Select.Hint}}
	if key != nil {
		if svid.SVID, err = x509svid.Parse(cert, key); err != nil {
			return none, err
		}
	}
	if bundle != nil {
		authorities, err := parseCerts(bundle)
		if err != nil {
			return none, err
		}
		svid.Bundle = x509bundle.FromX509Authorities(id.TrustDomain(), authorities)
		if _, _, err := x509svid.Verify(certs, svid.Bundle, x509svid.WithTime(r.now)); err != nil {
			return none, err
		}
	}
	r.svids = append(r.svids, svid)
	switch {
	case !r.now.Before(certs[0].NotAfter):
		return none, fmt.Errorf("it expired at %s", certs[0].NotAfter.UTC().Format(time.RFC3339))
	case !want.Select.ID.IsZero() && want.Select.ID != id:
		return none, fmt.Errorf("what is on disk is that of %s", id)
	}
	return Identity{
		Kind: snapshot.KindX509, Default: want.Select == Selector{}, ID: id, Hint: want.Select.Hint,
		Serial: snapshot.Serial(certs[0].SerialNumber), NotBefore: certs[0].NotBefore.UTC(), NotAfter: certs[0].NotAfter.UTC(),
	}, allowed(want.Allow, id)
}

func (r *restoring) jwtSVID(sel Selection) error {
	want := &r.output.JWTSVIDs[sel.Index]
	data, err := r.file(want.File, Use{snapshot.KindJWT, true})
	if err != nil {
		return err
	}
	svid, err := jwtsvid.ParseInsecure(string(data), want.Audience)
	switch {
	case err != nil:
		return err
	case !r.now.Before(svid.Expiry):
		return fmt.Errorf("it expired at %s", svid.Expiry.UTC().Format(time.RFC3339))
	case !want.ID.IsZero() && want.ID != svid.ID:
		return fmt.Errorf("what is on disk is that of %s", svid.ID)
	}
	r.set.Identities = append(r.set.Identities, Identity{
		Kind: snapshot.KindJWT, Selection: sel, ID: svid.ID, Hint: want.Hint, Audience: want.Audience,
		Issued: issued(svid), NotAfter: svid.Expiry.UTC(), Files: []string{want.File.Name},
	})
	return nil
}

// issued is when a token says that it was issued; zero if it does not say, or what
// cannot be.
func issued(svid *jwtsvid.SVID) time.Time {
	iat, _ := svid.Claims["iat"].(float64)
	if iat > 0 && iat < float64(svid.Expiry.Unix()) {
		return time.Unix(int64(iat), 0).UTC()
	}
	return time.Time{}
}

func (r *restoring) witSVID(sel Selection) error {
	want := &r.output.WITSVIDs[sel.Index]
	if want.Select.All {
		return errors.New("with all = true, only the Workload API tells which files there should be")
	}
	token, err := r.file(want.Token, Use{snapshot.KindWIT, true})
	if err == nil {
		_, err = r.file(want.Key, Use{snapshot.KindWIT, true})
	}
	if err != nil {
		return err
	}
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	parts := strings.Split(string(token), ".")
	if len(parts) != 3 {
		return errors.New("there is no token that could be checked")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		return err
	}
	if until := time.Unix(int64(claims.Expiry), 0); !r.now.Before(until) {
		return fmt.Errorf("it expired at %s", until.UTC().Format(time.RFC3339))
	}
	return nil
}

// parseCerts parses the certificates of a PEM file; there is at least one. Other
// blocks, such as the key of a combined file, are passed over.
func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no certificate in it")
	}
	return certs, nil
}
