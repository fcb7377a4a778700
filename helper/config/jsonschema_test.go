package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("svidhelper.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("svidhelper.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON returns a file of either dialect in the JSON form of the native one.
func asJSON(t *testing.T, src []byte) []byte {
	t.Helper()
	for _, name := range regexp.MustCompile(`env\.(\w+)`).FindAllSubmatch(src, -1) {
		t.Setenv(string(name[1]), "x")
	}
	r := &reporter{file: "x", src: src}
	root, _ := parseTree(src, r)
	if r.failed {
		t.Fatal(r.diagnostics())
	}
	b, err := json.Marshal(valueOf(root))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func valueOf(n *node) any {
	switch n.kind {
	case nodeObject:
		object := map[string]any{}
		for _, it := range n.items {
			value := valueOf(it.value)
			for i := len(it.labels) - 1; i >= 0; i-- {
				value = map[string]any{it.labels[i].text: value}
			}
			if old, twice := object[it.key]; twice {
				list, ok := old.([]any)
				if !ok {
					list = []any{old}
				}
				value = append(list, value)
			}
			object[it.key] = value
		}
		return object
	case nodeList:
		list := []any{}
		for _, e := range n.elems {
			list = append(list, valueOf(e))
		}
		return list
	case nodeNull:
		return nil
	case nodeBool:
		return n.text == "true"
	}
	return n.text
}

// schemaValue is a document as the validator takes it.
func schemaValue(t *testing.T, doc []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestJSONSchema: the schema accepts every example and sample in JSON, which is
// read as the same configuration, and refuses what is no key or no value.
func TestJSONSchema(t *testing.T) {
	s := compiledSchema(t)
	validate := func(doc []byte) error { return s.Validate(schemaValue(t, doc)) }
	sources := map[string][]byte{"everything": []byte(everything)}
	for _, pattern := range []string{"../../examples/*/*.conf", "testdata/*/*.conf", "../../helper.conf.example"} {
		paths, _ := filepath.Glob(pattern)
		for _, p := range paths {
			src, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(src, []byte("svid")) && !strings.Contains(p, "nginx.conf") && !strings.Contains(p, "postgresql.conf.d") {
				sources[p] = src
			}
		}
	}
	checked := 0
	for name, src := range sources {
		want, ds := parseOn("linux", string(src))
		if want == nil {
			if strings.HasPrefix(filepath.Base(name), "helper") {
				t.Errorf("%s: %v", name, ds)
			}
			continue // a server's own configuration
		}
		doc := asJSON(t, bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")))
		if err := validate(doc); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
		again, ds := parseOn("linux", string(doc))
		if again == nil {
			t.Errorf("%s in JSON: %v", name, ds)
		} else if d := diff(want, again); d != "" && len(want.Outputs) == 1 {
			t.Errorf("%s in JSON differs:\n%s", name, d)
		}
		checked++
	}
	if checked < 20 {
		t.Errorf("only %d examples", checked)
	}
	for _, doc := range []string{
		`{"outptu": {}}`, `{"output": {"/d": {"x509_svd": {}}}}`, `{"output": "/d"}`, `{"output": {"/d": {"publish": "atomic"}}}`,
		`{"output": {"/d": {"fsync": "no"}}}`, `{"process": {"command": "nginx"}}`, `{"process": {"max_restarts": "x"}}`,
		`{"output": {"/d": {"jwt_svid": {"file": "x"}}}}`, `{"process": {"preset": "ngnix"}}`,
		`{"hook": {"a": {"timeout": true}}}`, `{"log": {"level": "loud"}}`, `{"process": {"env": {"A": []}}}`,
	} {
		if validate([]byte(doc)) == nil {
			t.Errorf("%s is accepted", doc)
		}
	}
	t.Logf("%d examples", checked)
}
