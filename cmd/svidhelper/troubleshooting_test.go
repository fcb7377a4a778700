package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTroubleshooting compares the table of docs/troubleshooting.md with the source:
// each warning and error that svidhelper logs is there, and what is there is logged.
func TestTroubleshooting(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = true
	}
	call := regexp.MustCompile(`\.(?:Warn|Error)\(("(?:[^"\\]|\\.)+")[,)]`)
	var source strings.Builder
	logged := 0
	for _, dir := range []string{"cmd", "helper", "supervisor", "writer"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "devapi":
				return filepath.SkipDir // says what is for developers
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(path)
			source.Write(text)
			for _, m := range call.FindAllStringSubmatch(string(text), -1) {
				message, err := strconv.Unquote(m[1])
				if err != nil {
					return err
				}
				logged++
				if !documented[message] && message != "left out" { // of fetch, whose line says it all
					t.Errorf("%s logs %q, and docs/troubleshooting.md does not say what to do", path, message)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for message := range documented {
		if !strings.Contains(source.String(), strconv.Quote(message)) {
			t.Errorf("docs/troubleshooting.md explains %q, which nothing logs", message)
		}
	}
	if logged < 30 {
		t.Errorf("found %d warnings and errors in the source", logged)
	}
}
