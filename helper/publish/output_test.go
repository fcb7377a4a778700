package publish

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
	"github.com/svidhelper/svidhelper/writer"
)

// TestAnnouncesWhatChanged: a token that is renewed is one line in the log,
// however many there are.
func TestAnnouncesWhatChanged(t *testing.T) {
	log := testbed.NewLog()
	o := &output{log: slog.New(slog.NewTextHandler(log, nil)), set: encode.Set{Identities: []encode.Identity{
		{Kind: snapshot.KindX509, Serial: "1", Files: []string{"svid.pem", "bundle.pem"}},
		{Kind: snapshot.KindJWT, Audience: []string{"a"}, Files: []string{"a.jwt"}},
		{Kind: snapshot.KindJWT, Audience: []string{"b"}, Files: []string{"b.jwt"}},
	}}}
	for _, c := range []struct {
		change OutputChange
		says   string
	}{
		{OutputChange{Kinds: snapshot.KindJWT, Files: []string{"b.jwt"}}, "audience=b"},
		{OutputChange{Kinds: snapshot.KindX509, Files: []string{"svid.pem"}}, "serial=1"},
		{OutputChange{Kinds: snapshot.KindBundle, Files: []string{"bundle.pem"}}, "files=[bundle.pem]"},
	} {
		before := log.String()
		c.change.Identities = of(c.change.Kinds, o.set.Identities)
		o.announce(c.change, []string{"process"}, time.Millisecond)
		said := strings.TrimPrefix(log.String(), before)
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, c.says) {
			t.Errorf("%+v: the log says %q", c.change, said)
		}
	}
}

// TestHasWhatANameStandsFor: a file that has a name for each trust domain is on disk
// when one of them is, written by the last set or kept from before.
func TestHasWhatANameStandsFor(t *testing.T) {
	pattern := encode.FileSpec{Name: "{trust_domain}.jwks"}
	for name, c := range map[string]struct {
		o    output
		want bool
	}{
		"nothing":       {output{}, false},
		"written":       {output{set: encode.Set{Files: []writer.File{{Name: "example.org.jwks"}}}}, true},
		"kept":          {output{keptFiles: map[string]bool{"example.org.jwks": true}}, true},
		"kept no more":  {output{keptFiles: map[string]bool{"example.org.jwks": false}}, false},
		"another file":  {output{set: encode.Set{Files: []writer.File{{Name: "example.org.pem"}}}}, false},
		"its name only": {output{set: encode.Set{Files: []writer.File{{Name: "jwks"}}}}, false},
	} {
		if got := c.o.holds()(pattern); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
