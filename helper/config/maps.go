package config

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/svidhelper/svidhelper/supervisor"
)

// entries calls each for the keys of an object that is a map, in order.
func (d *decoder) entries(n *node, example string, each func(it *item)) {
	if n.kind != nodeObject {
		d.complain(n, "write "+d.key+" = "+example, "want a map, not %s", n.describe())
		return
	}
	key := d.key
	seen := map[string]bool{}
	for _, it := range n.items {
		if d.key = key + "." + d.show(it.at); seen[it.key] {
			d.errorf(it.at, "keep one of them", "%s is given twice", d.key)
		} else if len(it.labels) > 0 {
			d.errorf(it.labels[0].span, "write "+key+" = "+example, "%s is not a block", d.key)
		} else {
			each(it)
		}
		seen[it.key] = true
	}
	d.key = key
}

// environment is a map of variables, kept as NAME=value in the file's order.
func environment(dst *[]string) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			d.entries(n, `{ NAME = "value" }`, func(it *item) {
				if it.key == "" || strings.ContainsRune(it.key, '=') {
					d.errorf(it.at, "", "%s: a variable's name is not empty and has no equals sign", d.key)
					return
				}
				value := it.value.text
				if it.value.kind != nodeBool {
					var ok bool
					if value, ok = d.str(it.value); !ok {
						return
					}
				}
				*dst = append(*dst, it.key+"="+value)
			})
		},
		literal: func() string {
			var parts []string
			for _, variable := range *dst {
				name, value, _ := strings.Cut(variable, "=")
				parts = append(parts, quote(name)+" = "+quote(value))
			}
			return literalMap(parts)
		},
		form: func() schema { return mapOf(schema{"type": []string{"string", "number", "boolean"}}) },
	}
}

// signalMap says which signal is forwarded in place of which; 0 is none.
func signalMap(dst *map[syscall.Signal]syscall.Signal) scalar {
	return scalar{
		take: func(d *decoder, n *node) {
			rewrites := map[syscall.Signal]syscall.Signal{}
			d.entries(n, `{ SIGTERM = "SIGQUIT" }`, func(it *item) {
				from, err := supervisor.ParseSignal(it.key)
				if err != nil {
					d.errorf(it.at, signalHint(it.key), "%s: %v", d.key, err)
					return
				}
				if !supervisor.Receives(from) && d.goos == runtime.GOOS {
					d.errorf(it.at, "no Go program can pass it on", "%s: svidhelper does not receive %s", d.key, supervisor.SignalName(from))
					return
				}
				if _, twice := rewrites[from]; twice {
					d.errorf(it.at, "", "%s: %s is given twice", d.key, supervisor.SignalName(from))
				}
				var to syscall.Signal
				if it.value.text != "none" {
					to, _ = textParser[syscall.Signal](parseSignal).element(d, it.value)
				}
				rewrites[from] = to
			})
			if len(rewrites) > 0 {
				*dst = rewrites
			}
		},
		literal: func() string {
			var parts []string
			for _, from := range slices.Sorted(maps.Keys(*dst)) {
				to := "none"
				if sig := (*dst)[from]; sig != 0 {
					to = supervisor.SignalName(sig)
				}
				parts = append(parts, quote(supervisor.SignalName(from))+" = "+quote(to))
			}
			return literalMap(parts)
		},
		form: func() schema { return mapOf(scalar{}.schema()) },
	}
}

func literalMap(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}
