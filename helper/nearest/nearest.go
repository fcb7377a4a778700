// Package nearest finds the word that a person meant to write: a key, a choice, a
// signal, a command. It promises nothing but a question; the caller goes by what was
// written.
package nearest

// Hint asks whether s was meant to be the word that differs least from it, or is
// otherwise if none is so near that s is probably a slip.
func Hint(s string, words []string, otherwise string) string {
	best, bestDistance := "", min(3, len(s)/3)
	for _, w := range words {
		if d := distance(s, w, bestDistance); d <= bestDistance && (d < bestDistance || best == "") {
			best, bestDistance = w, d
		}
	}
	if best == "" {
		return otherwise
	}
	return "did you mean " + best + "?"
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
