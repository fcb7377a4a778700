package helper

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/snapshot"
)

// TestAnnouncesWhatChanged: a token that is renewed is one line in the log,
// however many there are.
func TestAnnouncesWhatChanged(t *testing.T) {
	log := newLogBuffer()
	o := &output{log: slog.New(slog.NewTextHandler(log, nil)), set: encode.Set{Identities: []encode.Identity{
		{Kind: snapshot.KindX509, Serial: "1", Files: []string{"svid.pem", "bundle.pem"}},
		{Kind: snapshot.KindJWT, Audience: []string{"a"}, Files: []string{"a.jwt"}},
		{Kind: snapshot.KindJWT, Audience: []string{"b"}, Files: []string{"b.jwt"}},
	}}}
	for _, c := range []struct {
		change outputChange
		says   string
	}{
		{outputChange{kinds: snapshot.KindJWT, files: []string{"b.jwt"}}, "audience=b"},
		{outputChange{kinds: snapshot.KindX509, files: []string{"svid.pem"}}, "serial=1"},
		{outputChange{kinds: snapshot.KindBundle, files: []string{"bundle.pem"}}, "files=[bundle.pem]"},
	} {
		before := log.String()
		o.announce(c.change)
		said := strings.TrimPrefix(log.String(), before)
		if strings.Count(said, "\n") != 1 || !strings.Contains(said, c.says) {
			t.Errorf("%+v: the log says %q", c.change, said)
		}
	}
}
