package printable

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// hostile moves the cursor, sets colours by one byte, turns text around, and is not
// UTF-8 everywhere.
const hostile = "a\x1b[2J\u009b31m\u202egnp\x7f\n\r\x00 ü\U0001f600\U000e0001"

func TestLine(t *testing.T) {
	if got, want := Line(hostile+"\xff", 100), "a?[2J?31m?gnp???? ü\U0001f600??"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Line(strings.Repeat("ü", 10), 5); got != "üü..." {
		t.Errorf("%q", got)
	}
	if got := Line("fits", 4); got != "fits" {
		t.Errorf("%q", got)
	}
}

func TestJSON(t *testing.T) {
	document, err := json.MarshalIndent(map[string]string{"text": hostile}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got := JSON(document)
	if strings.ContainsFunc(string(got), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("%q", got)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back["text"] != hostile {
		t.Errorf("%q, %v: from %s", back["text"], err, got)
	}
}
