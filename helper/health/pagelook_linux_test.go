package health

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/snapshot"
	"github.com/svidhelper/svidhelper/helper/testbed"
)

var screenshots = flag.String("screenshots", "", "directory to write pictures of the page to")

// busy is a helper that has rotated, and for which all is well.
func busy() Status {
	s, now := healthy(), time.Now()
	s.Outputs[0].Rotations = 1
	s.Outputs[0].Identities[0].Hint = "internal-frontend"
	s.Outputs[0].Identities[0].Serial = "e0641d04b2c77a1f9a33"
	s.Outputs[0].Identities = append(s.Outputs[0].Identities, encode.Identity{
		Kind: snapshot.KindX509, Selection: encode.Selection{Block: encode.BlockX509SVID, Index: 1},
		ID: spiffeid.RequireFromString("spiffe://example.org/ns/production/sa/payments-settlement-worker"), Hint: "payments",
		Serial: "1f", NotBefore: now.Add(-50 * time.Minute), NotAfter: now.Add(10 * time.Minute), Files: []string{"payments.pem"},
	}, encode.Identity{
		Kind: snapshot.KindJWT, Selection: encode.Selection{Block: encode.BlockJWTSVID}, ID: web,
		Audience: []string{"vault"}, NotAfter: now.Add(4 * time.Minute), Files: []string{"a.jwt"},
	})
	s.Recent = []events.Event{
		{Time: now.Add(-time.Minute), Event: events.Published, Output: "/run/tls", Kinds: []string{"x509", "bundle"},
			Identities: []events.Identity{{Kind: "x509_svid", SPIFFEID: web.String(), Serial: "e0641d04b2c77a1f9a33"}}},
		{Time: now.Add(-time.Minute), Event: events.Notified, Target: "process", Rotations: 7, Latency: 0.0021},
		{Time: now.Add(-time.Minute), Event: events.Proven, Target: "process", Serial: "e0641d04b2c77a1f9a33", Latency: 0.031},
	}
	return s
}

// broken is the same one in trouble.
func broken() Status {
	s := busy()
	s.Source.Connection.Connected = false
	s.Source.Connection.Problem = "no socket at /run/spire/agent/public/api.sock, not even /run/spire exists: start the agent that provides it, mount its directory here, or correct the address"
	s.Outputs[0].Identities[1].NotAfter = time.Now().Add(-time.Minute)
	s.Outputs[0].Refused = []publish.Refusal{{What: "X.509-SVID with hint db", Since: time.Now().Add(-time.Hour), Why: "no such identity", Reason: "absent"}}
	s.Outputs[0].LastSuccess = time.Time{}
	s.Hooks[0].LastError = errors.New(`command "/usr/local/bin/reload-the-proxy": exit status 3: configuration file /etc/proxy/proxy.cfg test failed`)
	s.Proofs[0].Proven, s.Proofs[0].Problem = false, "127.0.0.1:8443 still serves serial 9b2d, not the published e0641d04b2c77a1f9a33, after 10s: it has not taken up the new files; look at its reload and its paths"
	s.Recent = append(s.Recent, events.Event{Time: time.Now(), Event: events.Failed, Target: "process", Failed: "proof", Error: s.Proofs[0].Problem})
	return s
}

// What a page must look like. Each expression is a list of what is wrong.
var looks = map[string]string{
	"wider than the screen": `(() => {
		const wide = document.documentElement.scrollWidth
		return wide > innerWidth ? [wide + " > " + innerWidth] : []
	})()`,
	"a word is broken": `(() => {
		const main = [...document.querySelectorAll("main")].at(-1), bad = []
		const texts = document.createTreeWalker(main, NodeFilter.SHOW_TEXT)
		for (let node; node = texts.nextNode();)
			for (const word of node.data.matchAll(/[^\s-]+/g)) {
				if (word[0].length > 20) continue
				const range = document.createRange()
				range.setStart(node, word.index)
				range.setEnd(node, word.index + word[0].length)
				if (new Set([...range.getClientRects()].map(r => r.top)).size > 1) bad.push(word[0])
			}
		return bad
	})()`,
	"hard to read": `(() => {
		const light = c => {
			const [r, g, b] = c.match(/[\d.]+/g).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
			return .2126 * r + .7152 * g + .0722 * b
		}
		const behind = e => {
			for (; e; e = e.parentElement) {
				const c = getComputedStyle(e).backgroundColor
				if (!/, 0\)|transparent/.test(c)) return c
			}
			return "rgb(255, 255, 255)"
		}
		const bad = []
		for (const e of [...document.querySelectorAll("main")].at(-1).querySelectorAll("*")) {
			if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue
			const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x)
			const contrast = (a + .05) / (b + .05)
			if (contrast < 4.5) bad.push(e.tagName + " " + e.className + " " + contrast.toFixed(1))
		}
		return bad
	})()`,
	"too small to read": `[...[...document.querySelectorAll("main")].at(-1).querySelectorAll("*")].
		filter(e => parseFloat(getComputedStyle(e).fontSize) < 14).map(e => e.tagName)`,
	"not one version shown": `(() => {
		const shown = [...document.querySelectorAll("main")].filter(e => getComputedStyle(e).display != "none")
		return shown.length == 1 ? [] : [String(shown.length)]
	})()`,
	"reasons come late": `(() => {
		const main = [...document.querySelectorAll("main")].at(-1), heads = [...main.querySelectorAll("h2")].map(h => h.textContent)
		return main.querySelector("p .bad")?.textContent == "not ready" && heads[0] != "Not ready" ? heads : []
	})()`,
}

// TestPageInABrowser looks at the page as a person does: on a phone and on a
// desk, in light and dark, when all is well and when nothing is.
func TestPageInABrowser(t *testing.T) {
	b := startBrowser(t)
	for name, status := range map[string]func() Status{"well": busy, "trouble": broken} {
		base := start(t, config.Health{}, status)
		for _, width := range []int{390, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				picture := fmt.Sprintf("page-%s-%d-%s.png", name, width, scheme)
				b.look(width, 844, scheme)
				b.open(base + "/")
				testbed.Eventually(t, func() error {
					var ends bool
					if err := b.eval(`document.querySelector("main .silent") != null`, &ends); err != nil || !ends {
						return testbed.NotYet("%s: no page (%v)", picture, err)
					}
					return nil
				})
				for what, expression := range looks {
					var wrong []string
					if err := b.eval(expression, &wrong); err != nil {
						t.Fatal(err)
					}
					if len(wrong) > 0 {
						t.Errorf("%s: %s: %q", picture, what, wrong)
					}
				}
				if *screenshots != "" {
					if err := os.WriteFile(filepath.Join(*screenshots, picture), b.screenshot(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// TestOpenPageOutlivesTheHelper: the page that is open shows what comes, without a
// script. When the helper has ended it stays readable, and says so.
func TestOpenPageOutlivesTheHelper(t *testing.T) {
	var current atomic.Pointer[Status]
	well, trouble := busy(), broken()
	current.Store(&well)
	s, err := New(config.Health{Address: "127.0.0.1:0"}, func() Status { return *current.Load() }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b := startBrowser(t)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.open("http://" + s.Addr().String() + "/")
	shows := func(text string) {
		t.Helper()
		testbed.Eventually(t, func() error {
			var seen string
			if err := b.eval(`document.body?.innerText ?? ""`, &seen); err != nil || !strings.Contains(seen, text) {
				return testbed.NotYet("the page shows %q (%v), not %q", seen, err, text)
			}
			return nil
		})
	}
	shows("internal-frontend")
	current.Store(&trouble)
	shows("still serves serial 9b2d")
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	testbed.Eventually(t, func() error {
		var state string
		if err := b.eval("document.readyState", &state); err != nil || state != "complete" {
			return testbed.NotYet("the document is %s (%v)", state, err)
		}
		return nil
	})
	shows("still serves serial 9b2d")
	var silent []string
	const later = `document.getAnimations().forEach(a => a.currentTime = 20_000),
		[...document.querySelectorAll(".silent")].map(e => getComputedStyle(e)).filter(s => s.visibility == "visible").map(s => s.position)`
	if err := b.eval(later, &silent); err != nil || len(silent) == 0 {
		t.Errorf("the page does not say that nothing comes any more: %q %v", silent, err)
	}
	for what, expression := range looks {
		var wrong []string
		if err := b.eval(expression, &wrong); err != nil || len(wrong) > 0 {
			t.Errorf("%s: %q %v", what, wrong, err)
		}
	}
}
