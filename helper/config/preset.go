package config

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"github.com/svidhelper/svidhelper/helper/nearest"
)

// presets holds a file for each service that has a preset: a configuration in the
// native dialect, of one output and of a process, a hook or both. preset = "NAME" in
// a block stands for the block of that kind in the file NAME.
//
//go:embed presets/*.hcl
var presets embed.FS

// presetNames are the presets that there are, in order.
func presetNames() (names []string) {
	entries, _ := presets.ReadDir("presets") // which is embedded
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".hcl"))
	}
	return names
}

// presetItems returns the blocks of a preset, with the place where it is asked for in
// place of their own, or nil if there is no such preset.
func presetItems(name string, at span) []*item {
	src, err := presets.ReadFile("presets/" + name + ".hcl")
	if err != nil {
		return nil
	}
	root, _ := parseTree(src, &reporter{file: name, src: src}) // a test reads all of them
	root.move(at)
	return root.items
}

// move gives a node, and all that is in it, another place.
func (n *node) move(at span) {
	n.span = at
	for _, e := range n.elems {
		e.move(at)
	}
	for _, it := range n.items {
		it.at = at
		it.value.move(at)
	}
}

// inPresets reports whether a preset has a block of the name, so that none of its keys
// needs to stand in the file.
func inPresets(name string) bool {
	var within func([]*item) bool
	within = func(items []*item) bool {
		return slices.ContainsFunc(items, func(it *item) bool { return it.key == name || within(it.value.items) })
	}
	return slices.ContainsFunc(presetNames(), func(preset string) bool { return within(presetItems(preset, noSpan)) })
}

// presetKey is the key preset of a block. What it stands for is read as if it stood in
// the file, so nothing is left to be printed.
func presetKey() scalar {
	return scalar{
		take: func(d *decoder, n *node) { d.str(n) }, // complete has read it
		form: presetForm,
	}
}

func presetForm() schema { return interpolated(schema{"enum": presetNames()}) }

// complete returns the items of a block, and those of its preset that it lacks.
func (d *decoder) complete(object *node, b *block) []*item {
	if b.field("preset") == nil {
		return object.items
	}
	for _, it := range object.items {
		if it.key == "preset" && it.value.kind == nodeString {
			return merge(object.items, d.preset(it.value, b.name), b)
		}
	}
	return object.items
}

// preset returns the items of a preset's block, and complains if there is no such
// preset, or no such block.
func (d *decoder) preset(n *node, kind string) []*item {
	var kinds []string
	for _, it := range presetItems(n.text, n.span) {
		if it.key == kind {
			if d.presets == nil {
				d.presets = map[span]string{}
			}
			d.presets[n.span] = n.text
			return it.value.items
		}
		kinds = append(kinds, it.key)
	}
	if names := presetNames(); kinds == nil {
		d.errorf(n.span, nearest.Hint(n.text, names, "they are "+enumerate(names, "and")), "there is no preset %q", n.text)
	} else {
		d.errorf(n.span, "", "preset %q has no %s, only %s", n.text, kind, enumerate(kinds, "and"))
	}
	return nil
}

// merge returns items, and those of others whose keys are not among them. A block that
// both have once is merged in turn; null stands for a key that is not wanted.
func merge(items, others []*item, b *block) []*item {
	merged := slices.Clone(items)
	for _, other := range others {
		at := having(items, other.key)
		if at == nil {
			merged = append(merged, other)
			continue
		}
		inner, block := b.field(other.key).value.(interface{ blank() *block })
		if !block || len(at) > 1 || len(having(others, other.key)) > 1 {
			continue
		}
		ours := items[at[0]].value
		if ours.kind == nodeList && len(ours.elems) == 1 {
			ours = ours.elems[0]
		}
		if ours.kind == nodeObject {
			whole, value := *items[at[0]], *ours
			value.items = merge(ours.items, other.value.items, inner.blank())
			whole.value = &value
			merged[at[0]] = &whole
		}
	}
	return merged
}

// having returns the indices of the items with the key.
func having(items []*item, key string) (at []int) {
	for i, it := range items {
		if it.key == key {
			at = append(at, i)
		}
	}
	return at
}

// leaveOut says how to leave out those of the keys that come from a preset, or nothing
// if none does.
func (d *decoder) leaveOut(at places, keys ...string) string {
	for _, key := range keys {
		if name := d.presets[at.of(key)]; at.has(key) && name != "" {
			return fmt.Sprintf("preset %q has %s: write %s = null to leave it out", name, key, key)
		}
	}
	return ""
}
