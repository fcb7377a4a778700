package publish

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
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
