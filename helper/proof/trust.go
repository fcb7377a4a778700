package proof

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// What a service trusts shows in two ways. Where it names, in its request for a
// client certificate, the subjects of the authorities that it takes (RFC 8446 4.2.4,
// RFC 5246 7.4.4), each authority of the bundle must be among them. And it must take
// the client certificate that we show, which tells of the authority that issued it.
//
// What neither shows is no failure, and is not claimed: a service that names no
// authority does not show what it thinks of one from which there is no SVID yet, and
// of two authorities with one subject a name tells nothing.

// distrust is why a connection does not show that the service trusts what was
// published; nil if it does, as far as can be seen.
func (s *sighting) distrust(want Want) error {
	if !s.asked {
		return errors.New("it asks for no client certificate: does this port do mutual TLS?")
	}
	if len(s.names) > 0 {
		for _, a := range want.Authorities {
			if !s.named(a) {
				return fmt.Errorf("it does not name the X.509 authority %s among those whose client certificates it takes: it has not taken up the new bundle",
					snapshot.Serial(a.SerialNumber))
			}
		}
	}
	switch {
	case s.unsuited != nil:
		return fmt.Errorf("it does not take such a client certificate as ours: %w", s.unsuited)
	case s.refused != nil && turnedAway(s.refused):
		return fmt.Errorf("it refuses our client certificate, for which the published bundle vouches: %w", s.refused)
	case s.refused != nil:
		return fmt.Errorf("it does not say whether it takes our client certificate: %w", s.refused)
	}
	return nil
}

// unseen are the serial numbers of the authorities of which a connection that shows
// no distrust shows no trust either.
func (s *sighting) unseen(want Want) (serials []string) {
	for _, a := range want.Authorities {
		alike := func(b *x509.Certificate) bool { return b != a && bytes.Equal(a.RawSubject, b.RawSubject) }
		byName := s.named(a) && !slices.ContainsFunc(want.Authorities, alike)
		if !byName && !s.own(a) {
			serials = append(serials, snapshot.Serial(a.SerialNumber))
		}
	}
	return serials
}

func (s *sighting) named(a *x509.Certificate) bool {
	return slices.ContainsFunc(s.names, func(name []byte) bool { return bytes.Equal(name, a.RawSubject) })
}

// own reports whether an authority has issued what we have shown.
func (s *sighting) own(a *x509.Certificate) bool {
	if s.ours == nil {
		return false
	}
	last, err := x509.ParseCertificate(s.ours.Certificate[len(s.ours.Certificate)-1])
	return err == nil && (last.Equal(a) || last.CheckSignatureFrom(a) == nil)
}
