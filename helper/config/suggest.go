package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
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

// suggest says what a key that b does not have should have been.
func suggest(key string, b *block) string {
	if hint, ok := renamed[key]; ok && b.name == "" {
		return hint
	}
	if key == "jwt_file_name" && b.field("jwt_svid_file_name") != nil {
		return "it is spelled jwt_svid_file_name"
	}
	if snake := snakeCase(key); snake != key && b.field(snake) != nil {
		return "it is spelled " + snake
	}
	var keys []string
	for _, f := range b.fields {
		keys = append(keys, f.key)
	}
	if near := Nearest(strings.ToLower(key), keys); near != "" {
		return didYouMean(near, "")
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

// isBlock reports whether the key is that of a block.
func isBlock(key string) bool {
	for _, b := range everyBlock() {
		if f := b.field(key); f != nil {
			_, ok := f.value.(interface{ isBlock() })
			return ok
		}
	}
	return false
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

func snakeCase(key string) string {
	var b strings.Builder
	for i, r := range key {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Nearest returns the candidate that differs least from s, if one is so near
// that s is probably a slip.
func Nearest(s string, candidates []string) string {
	best, bestDistance := "", min(3, len(s)/3)
	for _, c := range candidates {
		if d := distance(s, c, bestDistance); d <= bestDistance && (d < bestDistance || best == "") {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours that turn a into b, or more than limit when it is more than limit.
func distance(a, b string, limit int) int {
	if n := len(a) - len(b); n > limit || -n > limit {
		return limit + 1
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

func didYouMean(near, otherwise string) string {
	if near == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %s?", near)
}

// enumerate joins words as a sentence does.
func enumerate(words []string, conjunction string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}
