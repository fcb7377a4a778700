package health

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A browser is a headless Chromium that is spoken to through two pipes, in the
// Chrome DevTools Protocol.
type browser struct {
	t       *testing.T
	to      *os.File
	answers chan answerOf
	session string
	last    int
}

type answerOf struct {
	ID     int
	Result json.RawMessage
	Error  *struct{ Message string }
}

// startBrowser starts a browser with an empty tab, or skips the test where there
// is none.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		program, err = exec.LookPath("chromium")
	}
	switch {
	case err == nil:
	case os.Getenv("SVIDHELPER_TEST_STRICT") != "":
		t.Fatal("no chromium-headless-shell is installed")
	default:
		t.Skip("no chromium-headless-shell is installed")
	}
	itsIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, itsOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{itsIn, itsOut} // 3 and 4
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	itsIn.Close()
	itsOut.Close()
	b := &browser{t: t, to: to, answers: make(chan answerOf, 64)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(b.answers)
		for r := bufio.NewReader(from); ; {
			message, err := r.ReadBytes(0)
			if err != nil {
				return
			}
			var a answerOf
			if json.Unmarshal(message[:len(message)-1], &a) == nil && a.ID != 0 {
				b.answers <- a
			}
		}
	}()
	t.Cleanup(func() {
		b.call("Browser.close", nil, nil) // it writes its profile, and removes what it has in /tmp
		to.Close()
		_ = cmd.Wait()
		from.Close()
		<-read
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	return b
}

// call calls a method and waits for its answer.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.last++
	message := map[string]any{"id": b.last, "method": method, "params": params}
	if params == nil {
		delete(message, "params")
	}
	if b.session != "" && method != "Browser.close" {
		message["sessionId"] = b.session
	}
	text, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Errorf("%s: %v", method, err)
		return
	}
	patience := time.After(time.Minute)
	for {
		select {
		case a, ok := <-b.answers:
			switch {
			case !ok:
				b.t.Errorf("%s: the browser has ended", method)
				return
			case a.ID != b.last:
				continue
			case a.Error != nil:
				b.t.Errorf("%s: %s", method, a.Error.Message)
			case result != nil:
				if err := json.Unmarshal(a.Result, result); err != nil {
					b.t.Errorf("%s: %v in %s", method, err, a.Result)
				}
			}
			return
		case <-patience:
			b.t.Errorf("%s is not answered", method)
			return
		}
	}
}

// look makes the tab a screen of that width, in light or dark.
func (b *browser) look(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// open loads a page, and returns when it has content.
func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// eval evaluates an expression in the page into result.
func (b *browser) eval(expression string, result any) error {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", expression, r.ExceptionDetails.Exception.Description)
	}
	return json.Unmarshal(r.Result.Value, result)
}

// screenshot returns the tab as PNG.
func (b *browser) screenshot() []byte {
	b.t.Helper()
	var r struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	return r.Data
}
