package config

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/svidhelper/svidhelper/helper/nearest"
)

// renamed says what became of keys that people still write.
var renamed = map[string]string{
	"start":             `write cmd = "program" and cmd_args = "arguments", or a block process { … } with command`,
	"reload":            `write renew_signal = "SIGHUP" (and pid_file_name), on_rotation in process { … }, or a block hook "name" { … } with command`,
	"jwt_file_name":     "write jwt_svids = [{ jwt_audience = \"…\", jwt_svid_file_name = \"…\" }]",
	"jwt_audience":      "it belongs in jwt_svids = [{ jwt_audience = \"…\", jwt_svid_file_name = \"…\" }]",
	"jwtAudience":       "write jwt_svids = [{ jwt_audience = \"…\", jwt_svid_file_name = \"…\" }]",
	"jwtSvidFileName":   "write jwt_svids = [{ jwt_audience = \"…\", jwt_svid_file_name = \"…\" }]",
	"jwtBundleFileName": "it is spelled jwt_bundle_file_name",
}

// hump is where a word begins in a key of the old spelling, such as certDir.
var hump = lazy(`\B[A-Z]`)

// suggest says what a key that b does not have should have been.
func suggest(key string, b *block) string {
	if hint, ok := renamed[key]; ok && b.name == "" {
		return hint
	}
	if key == "jwt_file_name" && b.field("jwt_svid_file_name") != nil {
		return "it is spelled jwt_svid_file_name"
	}
	if snake := strings.ToLower(hump().ReplaceAllString(key, "_$0")); snake != key && b.field(snake) != nil {
		return "it is spelled " + snake
	}
	var keys []string
	for _, f := range b.fields {
		keys = append(keys, f.key)
	}
	if hint := nearest.Hint(strings.ToLower(key), keys, ""); hint != "" {
		return hint
	}
	if homes := homesOf(key); len(homes) > 0 {
		return "it belongs in " + enumerate(homes, "or")
	}
	slices.Sort(keys)
	if len(keys) <= 12 {
		return "its keys are " + enumerate(keys, "and")
	}
	return "helper.conf.example has every key"
}

// everyBlock returns the table of each kind of block. They are made once: a file
// can have many mistakes.
var everyBlock = sync.OnceValue(func() []*block {
	return within(rootTable(new(Config), &dropIn{logLevel: new(slog.Level)}))
})

// within returns the table and those of the blocks in it.
func within(b *block) []*block {
	all := []*block{b}
	for _, f := range b.fields {
		if inner, ok := f.value.(interface{ blank() *block }); ok {
			all = append(all, within(inner.blank())...)
		}
	}
	return all
}

// isBlock reports whether the key is that of a block.
func isBlock(key string) bool {
	return slices.ContainsFunc(everyBlock(), func(b *block) bool { return b.name == key })
}

// homesOf returns the names of the blocks that have the key.
func homesOf(key string) []string {
	var homes []string
	for _, b := range everyBlock() {
		if b.name != "" && b.field(key) != nil && !slices.Contains(homes, b.name) {
			homes = append(homes, b.name)
		}
	}
	return homes
}

// enumerate joins words as a sentence does.
func enumerate(words []string, conjunction string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}
