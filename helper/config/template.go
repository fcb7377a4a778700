package config

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/svidhelper/svidhelper/helper/companion"
	"github.com/svidhelper/svidhelper/helper/encode"
)

func templateTable(t *encode.Template) *block {
	content := filled(&t.Text, "write the template, or name its file: from")
	literal := content.literal
	content.literal = func() string {
		if t.From != "" {
			return "" // it is what the file says
		}
		return literal()
	}
	return &block{name: "template", label: &t.File.Name, labelWant: "a file", labelExample: "companion.json", fields: []field{
		{key: "from", doc: "the file that the template is in; followed as this file is", value: text(&t.From)},
		{key: "content", doc: "the template itself", value: content},
		{key: "mode", doc: "instead of the output's", value: mode(&t.File.Mode)},
		{key: "owner", doc: "name or number", value: text(&t.File.Owner)},
		{key: "group", doc: "name or number", value: text(&t.File.Group)},
	}, check: func(d *decoder, at places) {
		if at.has("from") == at.has("content") && !at.odd {
			d.errorf(at.of("from", "content"), `write from = "/etc/svidhelper/companion.tmpl"`, "a template needs one of from and content")
		}
		if hint, err := checkName(t.File.Name, d.goos); err != nil {
			d.errorf(at.block, hint, "template: %v", err)
		}
		t.File.Literal = t.File.Varies()
		d.templates = append(d.templates, at)
	}}
}

// checkTemplates reads the templates of an output and finds out whether they can be,
// once all else of the output is known. It returns their files.
func (d *decoder) checkTemplates(o *encode.Output) (files []namedFile) {
	for i, at := range d.templates {
		t := &o.Templates[i]
		if t.From != "" && d.open != nil {
			if !filepath.IsAbs(t.From) { // it is beside the configuration
				t.From = filepath.Join(filepath.Dir(d.file), t.From)
			}
			data, err := d.open(t.From)
			if err != nil {
				d.errorf(at.of("from"), "", "from: cannot read the template: %v", err)
				continue
			}
			t.Text = string(data)
		}
		if t.Text != "" {
			if err := t.Compile(o); err != nil {
				d.errorf(at.of("from", "content"), "", "template: %v", err)
			}
		}
		files = append(files, namedFile{t.File, "template", at.block, t.Private})
	}
	d.templates = nil
	return files
}

// openTemplate reads a template.
func openTemplate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file") // which could have no end
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path)
	}
	var data []byte
	if err == nil {
		defer file.Close()
		data, err = io.ReadAll(io.LimitReader(file, companion.MaxText+1))
	}
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err
	}
	if err == nil && len(data) == 0 {
		err = errors.New("it is empty")
	}
	return []byte(strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")), err
}

// sumOf stands for a file and the templates that it names, as text says each.
func sumOf(src []byte, c *Config, text func(*encode.Template) string) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(src)
	for i := range c.Outputs {
		for j := range c.Outputs[i].Templates {
			if t := &c.Outputs[i].Templates[j]; t.From != "" {
				one := sha256.Sum256([]byte(text(t)))
				h.Write(one[:])
			}
		}
	}
	h.Sum(sum[:0])
	return sum
}

// asRead is the text of a template as it was read, onDisk as it is now.
func asRead(t *encode.Template) string { return t.Text }

func onDisk(t *encode.Template) string {
	data, err := openTemplate(t.From)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
