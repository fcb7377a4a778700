package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLinks: every link of the documents that is not to another site leads to a file
// or a folder that is there, and to a heading of it where it names one. The README
// leads to each page of docs.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..")
	var documents []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*/*.md", ".github/*.md", ".github/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	linked := map[string]bool{}
	for _, document := range documents {
		for _, target := range links(prose(t, document)) {
			path, anchor, _ := strings.Cut(target, "#")
			file := document
			if path != "" {
				file = filepath.Join(filepath.Dir(document), path)
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere", document, target)
				continue
			}
			linked[file] = true
			if anchor == "" {
				continue
			}
			if info.IsDir() {
				file = filepath.Join(file, "README.md")
			}
			if !slices.Contains(anchors(prose(t, file)), anchor) {
				t.Errorf("%s: the link %s names a heading that is not there", document, target)
			}
		}
	}
	readme := links(prose(t, filepath.Join(root, "README.md")))
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !slices.Contains(readme, "docs/"+filepath.Base(page)) {
			t.Errorf("the README has no link to %s", page)
		}
	}
	if len(linked) < 50 {
		t.Errorf("only %d files are linked", len(linked))
	}
}

var code = regexp.MustCompile("(?ms)^ *```.*?^ *```$")

// prose returns a document without its blocks of code.
func prose(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return code.ReplaceAllString(string(text), "")
}

// links returns the targets of the links that stay within the project.
func links(text string) (all []string) {
	for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], "://") {
			all = append(all, m[1])
		}
	}
	return all
}

// anchors returns what the headings are called in links.
func anchors(text string) (all []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		all = append(all, strings.ReplaceAll(name, " ", "-"))
	}
	return all
}

// section returns what stands under a heading of docs/operation.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/operation.md has no section %q", heading)
	}
	after, _, _ = strings.Cut(after, "\n## ")
	return strings.TrimSpace(after)
}

// plain returns Markdown's prose without its marks.
func plain(text string) string {
	return strings.ReplaceAll(text, "`", "")
}
