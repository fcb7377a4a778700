package companion

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// maxMade is how many bytes the functions of one rendering may make, those that never
// reach the file included. A template that doubles a text forty times in a variable
// writes nothing, and would fill the memory.
const maxMade = 16 * maxSize

// A budget is what is left of maxMade. Its zero value is spent.
type budget int

// functions are text/template's own that make a text of others, each of which pays
// before it does.
func (b *budget) functions() template.FuncMap {
	all := template.FuncMap{"printf": func(format string, args ...any) (string, error) {
		if err := b.spend(len(format) + strings.Count(format, "%")*(length(args)+widest(format))); err != nil {
			return "", err
		}
		return fmt.Sprintf(format, args...), nil
	}}
	for name, f := range map[string]func(...any) string{
		"print": fmt.Sprint, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
	} {
		all[name] = func(args ...any) (string, error) {
			if err := b.spend(length(args)); err != nil {
				return "", err
			}
			return f(args...), nil
		}
	}
	return all
}

// quoted has a quoting function pay before it works.
func (b *budget) quoted(f func(any) (string, error)) func(any) (string, error) {
	return func(v any) (string, error) {
		if err := b.spend(length([]any{v})); err != nil {
			return "", err
		}
		return f(v)
	}
}

func (b *budget) spend(n int) error {
	if n > int(*b) {
		return errSize
	}
	*b -= budget(n)
	return nil
}

// length is how long values are, written one after the other.
func length(values []any) (n int) {
	for _, v := range values {
		if s, is := v.(string); is {
			n += len(s)
		} else {
			n += len(fmt.Sprint(v))
		}
	}
	return n
}

var number = regexp.MustCompile(`[0-9]+|\*`)

// widest is the greatest width or precision that a format may ask for. Package fmt
// takes none beyond a million, which "*" may be.
func widest(format string) (width int) {
	const most = 1_000_000
	for _, digits := range number.FindAllString(format, -1) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			n = most
		}
		width = max(width, min(n, most))
	}
	return width
}
