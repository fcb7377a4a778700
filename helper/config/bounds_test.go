package config

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// What any byte string may cost.
const (
	maxTime   = time.Second
	maxMemory = 100 << 20 // bytes, of all that is allocated on the way
)

// hostile are shapes that make a careless parser quadratic, or run out of
// memory or stack.
var hostile = []struct{ name, open, text, close string }{
	{name: "spaces", text: " "},
	{name: "newlines", text: "\n"},
	{name: "brackets", text: "["},
	{name: "braces", text: "{"},
	{name: "nested blocks", text: "a {"},
	{name: "closed brackets", text: "[]"},
	{name: "values", text: "a=1\n"},
	{name: "values glued", text: `ab="x"`},
	{name: "one-letter keys", text: "a=1 "},
	{name: "unknown keys", text: "zzz=1\n"},
	{name: "a flat key", text: "cmd=\"x\"\n"},
	{name: "a native key", text: "events=\"x\"\n"},
	{name: "words", text: "cmd "},
	{name: "keys without a value", text: "cmd\n"},
	{name: "bare labels", text: "a /b\n"},
	{name: "stray characters", text: ";"},
	{name: "stray quotes", text: "'"},
	{name: "strings", text: `""`},
	{name: "open strings", text: "\"\n"},
	{name: "open interpolations", text: "\"${\n"},
	{name: "interpolations", text: "\"${}\"\n"},
	{name: "open heredocs", text: "<<A\n"},
	{name: "heredocs", text: "a=<<A\nA\n"},
	{name: "open comments", text: "/*"},
	{name: "comments", text: "/**/"},
	{name: "passwords", text: "password=1 "},
	{name: "password words", text: "password "},
	{name: "outputs", text: "output \"a\" {}\n"},
	{name: "outputs with an SVID", text: "output \"a\" { x509_svid {} }\n"},
	{name: "hooks", text: "hook \"a\" { command = [\"a\"] }\n"},
	{name: "bad escapes", text: "a=\"\\q\"\n"},
	{name: "invalid UTF-8", text: "\xff"},
	{name: "invalid UTF-8 in strings", text: "a=\"\xff\"\n"},
	{name: "zero bytes", text: "\x00"},
	{name: "wide characters", text: "é"},
	{name: "bare text", text: "cmd = a b c\n"},
	{name: "decimal modes", text: "cert_file_mode=444\n"},
	{name: "JSON never closed", text: `{"a":[{"b":1},`},
	{name: "JSON without colons", open: `{"a":[`, text: `{"b" 1},`, close: "]}"},
	{name: "JSON with wrong strings", open: `{"a":[`, text: `"\\q",`, close: "]}"},
	{name: "JSON", open: `{"jwt_svids":[`, text: `{"jwt_audience":"a","jwt_svid_file_name":"b"},`, close: "]}"},
	{name: "a list of numbers", open: "a = [", text: "1,", close: "]"},
	{name: "a list of lists", open: "a = [", text: "[1],", close: "]"},
	{name: "a list of objects", open: "a = [", text: "{a=1},", close: "]"},
	{name: "audiences", open: `output "x" { jwt_svid { file = "f" audience = [`, text: `"a",`, close: "] } }"},
	{name: "trust domains", open: `output "x" { x509_bundle { file = "f" trust_domains = [`, text: `"a",`, close: "] } }"},
	{name: "descriptors", open: `process { pass_fds = [`, text: `5,`, close: "] }"},
	{name: "variables", open: `process { env = {`, text: `a="b",`, close: "} }"},
	{name: "one name for all", open: `output "x" {`, text: `jwt_svid { file = "f" audience = "a" }`, close: "}"},
	{name: "deep names", open: `output "x" {`, text: `jwt_svid { file = "a/b/c/d/e/f/g/h/i/j" audience = "a" }`, close: "}"},
	{name: "arguments", open: `cmd_args = "`, text: `x `, close: `"`},
	{name: "lines in cmd_args", open: "cmd_args = <<A\n", text: "\n", close: "A\n"},
	{name: "one long name", open: `svid_file_name = "`, text: "a", close: `"`},
	{name: "one deep name", open: `svid_file_name = "`, text: "a/", close: `"`},
	{name: "one long key", text: "a"},
}

// TestAnyBytesAreBounded parses the largest file of each shape that is not
// refused for its size, and one that is.
func TestAnyBytesAreBounded(t *testing.T) {
	var slowest time.Duration
	var largest uint64
	for _, h := range hostile {
		of := func(n int) []byte { return []byte(h.open + strings.Repeat(h.text, n) + h.close + x509Names) }
		most := (maxSize - len(of(0))) / len(h.text)
		fits := most
		if words := wordCount(of(200)) - wordCount(of(100)); words > 0 {
			fits = min(most, 100*(maxWords-wordCount(of(0)))/words)
		}
		for _, n := range []int{fits / share, most / share} {
			took, allocated := measure(t, of(n))
			for tries := 1; took > maxTime*slack && tries < 5; tries++ {
				again, _ := measure(t, of(n)) // the collector may have worked for others
				took = min(took, again)
			}
			if took > maxTime*slack || allocated > maxMemory {
				t.Errorf("%s, %d times: %v and %d MB", h.name, n, took, allocated>>20)
			}
			slowest, largest = max(slowest, took), max(largest, allocated)
		}
	}
	t.Logf("%d shapes: at most %v and %d MB allocated", len(hostile), slowest, largest>>20)
}

func measure(t *testing.T, src []byte) (took time.Duration, allocated uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := spent()
	c, ds := Parse("x.conf", src)
	took = spent() - start
	runtime.ReadMemStats(&after)
	if (c == nil) != ds.HasErrors() {
		t.Errorf("%.40q…: configuration %v, but %d diagnostics", src, c != nil, len(ds))
	}
	return took, after.TotalAlloc - before.TotalAlloc
}

func TestAFileThatIsTooLargeIsRefused(t *testing.T) {
	_, ds := Parse("x.conf", make([]byte, maxSize+1))
	if !has(ds, Error, "larger than") {
		t.Errorf("got %v", ds)
	}
	_, ds = Parse("x.conf", []byte(strings.Repeat("a ", maxWords+1)))
	if !has(ds, Error, "more than 40000 words") {
		t.Errorf("got %v", ds)
	}
}
