package config

import (
	"encoding/json"
	"log/slog"
)

// schema is a JSON Schema, or a part of one.
type schema map[string]any

// JSONSchema returns a JSON Schema (draft 2020-12) of the native dialect in its
// JSON form, made from the tables that read it. It knows keys, types and words.
// The rules that span keys, and what a text means, it does not know.
func JSONSchema() []byte {
	root := objectSchema(rootTable(new(Config), &dropIn{logLevel: new(slog.Level)}))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "svidhelper"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps, lists and strings
	}
	return append(b, '\n')
}

// schema of a scalar is a string, for which a number will do, unless it has
// another form.
func (v scalar) schema() schema {
	if v.form == nil {
		return schema{"type": []string{"string", "number"}}
	}
	return v.form()
}

// interpolated accepts a form, or a string with a variable in it.
func interpolated(form schema) schema {
	return schema{"anyOf": []schema{form, {"type": "string", "pattern": `\$\{`}}}
}

// oneOrMany accepts one, or a list of them.
func oneOrMany(form schema) schema {
	return schema{"anyOf": []schema{form, {"type": "array", "items": form}}}
}

func mapOf(form schema) schema { return schema{"type": "object", "additionalProperties": form} }

// objectSchema is the form of what stands between a block's braces.
func objectSchema(b *block) schema {
	keys, form := schema{}, schema{"type": "object", "additionalProperties": false}
	var needed []string
	for _, f := range b.fields {
		key := schema{"anyOf": []schema{f.value.schema(), {"type": "null"}}} // which leaves it out
		if f.doc != "" {
			key["description"] = f.doc
		}
		if f.needed != "" && !inPresets(b.name) {
			needed = append(needed, f.key)
		}
		keys[f.key] = key
	}
	if form["properties"] = keys; needed != nil {
		form["required"] = needed
	}
	return form
}

// blockSchema is the form of blocks; their labels are keys.
func blockSchema(b *block) schema {
	form := objectSchema(b)
	if b.label != nil {
		form = mapOf(oneOrMany(form))
	}
	return oneOrMany(form)
}

func (v one[T]) schema() schema { return blockSchema(v.blank()) }

func (v many[T]) schema() schema { return blockSchema(v.blank()) }

func (v fileValue) schema() schema {
	return schema{"anyOf": []schema{{"type": "string"}, objectSchema(v.table())}}
}
