package hook

import (
	"bytes"
	"slices"
	"strings"
)

// A Notice says what changed, in plain strings: this package does not know what
// they mean. A Notice, and what it points to, does not change once it has been
// handed over.
type Notice struct {
	// Env are NAME=value pairs that a command gets beside the helper's own
	// environment. When notices coalesce, the newest value of a name stands.
	Env []string
	// Lists become NAME=value,value pairs of the environment. When notices
	// coalesce, their values add up.
	Lists []List
	// Event is a line of JSON for a command's standard input. When notices
	// coalesce, there is a line for each, the oldest first.
	Event []byte
	// First marks the first publish: it is not splayed.
	First bool
}

// A List is an environment variable that holds a set.
type List struct {
	Name   string
	Values []string
}

// maxEvents bounds, in bytes, the lines that wait for a target which is busy or
// failing. The oldest go first: the newest describe what is on disk.
const maxEvents = 64 << 10

// merge returns one notice that stands for both.
func (n Notice) merge(newer Notice) Notice {
	return Notice{
		Env:   mergeEnv(n.Env, newer.Env),
		Lists: mergeLists(n.Lists, newer.Lists),
		Event: mergeEvents(n.Event, newer.Event),
		First: n.First || newer.First,
	}
}

// environ returns the pairs that a command gets.
func (n Notice) environ() []string {
	env := slices.Clone(n.Env)
	for _, l := range n.Lists {
		env = append(env, l.Name+"="+strings.Join(l.Values, ","))
	}
	return env
}

func mergeEnv(older, newer []string) []string {
	env := slices.Clone(older)
	for _, pair := range newer {
		name, _, _ := strings.Cut(pair, "=")
		i := slices.IndexFunc(env, func(o string) bool { return strings.HasPrefix(o, name+"=") })
		if i < 0 {
			env = append(env, pair)
			continue
		}
		env[i] = pair
	}
	return env
}

func mergeLists(older, newer []List) []List {
	lists := slices.Clone(older)
	for _, l := range newer {
		i := slices.IndexFunc(lists, func(o List) bool { return o.Name == l.Name })
		if i < 0 {
			lists = append(lists, l)
			continue
		}
		values := slices.Clone(lists[i].Values)
		for _, v := range l.Values {
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		lists[i].Values = values
	}
	return lists
}

func mergeEvents(older, newer []byte) []byte {
	events := slices.Concat(line(older), line(newer))
	for len(events) > maxEvents {
		i := bytes.IndexByte(events, '\n')
		if i < 0 || i == len(events)-1 {
			break // one line alone is never cut
		}
		events = events[i+1:]
	}
	return events
}

// line returns b with a newline at its end, unless it is empty.
func line(b []byte) []byte {
	if len(b) == 0 || b[len(b)-1] == '\n' {
		return b
	}
	return append(slices.Clone(b), '\n')
}
