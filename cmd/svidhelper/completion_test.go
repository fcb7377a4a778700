//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// valuesOf returns what a flag's value is one of; "file" and "directory" stand for
// themselves.
func valuesOf(f flagText) []string {
	switch f.value {
	case "file", "directory":
		return []string{f.value}
	case "signal":
		return []string{"none", "restart", "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH"}
	}
	return nil
}

// words returns what may follow each command beside its flags.
func words(name string) []string {
	switch name {
	case "config":
		return []string{"check", "print", "init", "schema"}
	case "level":
		return []string{"debug", "info", "warn", "error"}
	case "fetch":
		return []string{"jwt", "x509"}
	}
	return nil
}

// takesFiles reports whether a command has files as arguments.
func takesFiles(name string) bool { return name == "config" || name == "check" }

// firstWords returns the commands, each of one word.
func firstWords() []string {
	var all []string
	for _, c := range commands() {
		if word, _, two := strings.Cut(c.name, " "); !two {
			all = append(all, word)
		}
	}
	return append(all, "help")
}

func dashed(flags []flagText) []string {
	var all []string
	for _, f := range flags {
		all = append(all, "-"+f.name)
	}
	return all
}

// bashCompletion returns a completion for bash.
func bashCompletion(t *testing.T) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Made by TestManuals of cmd/svidhelper.
_svidhelper() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command="" i words=""
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != -- ]] || return 0
		[[ ${COMP_WORDS[i]} == -* ]] || { [[ -n $command ]] || command=${COMP_WORDS[i]}; }
	done
	if [[ -z $command && $cur != -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "%s" -- "$cur")
		[[ $prev == -* ]] || return 0
	fi
	case $prev in
`, strings.Join(firstWords(), " "))
	done := map[string]bool{}
	for _, c := range commands() {
		for _, f := range flagsOf(t, c) {
			values := valuesOf(f)
			if len(values) == 0 || done[f.name] {
				continue
			}
			done[f.name] = true
			how := fmt.Sprintf(`-W "%s"`, strings.Join(values, " "))
			switch values[0] {
			case "file":
				how = "-f"
			case "directory":
				how = "-d"
			}
			fmt.Fprintf(&b, "\t-%s | --%[1]s) mapfile -t COMPREPLY < <(compgen %s -- \"$cur\"); return 0 ;;\n", f.name, how)
		}
	}
	b.WriteString("\tesac\n\tcase ${command:-run} in\n")
	for _, c := range commands() {
		if strings.Contains(c.name, " ") {
			continue
		}
		fmt.Fprintf(&b, "\t%s) words=\"%s\" ;;\n", c.name, strings.Join(slices.Concat(words(c.name), dashed(flagsOf(t, c))), " "))
	}
	b.WriteString(`	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	case $command in
`)
	for _, c := range commands() {
		if takesFiles(c.name) {
			fmt.Fprintf(&b, "\t%s) [[ $cur == -* ]] || mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\") ;;\n", c.name)
		}
	}
	b.WriteString("\tesac\n}\ncomplete -o filenames -F _svidhelper svidhelper\n")
	return b.String()
}

// zshCompletion returns a completion for zsh.
func zshCompletion(t *testing.T) string {
	quote := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`).Replace
	var b strings.Builder
	b.WriteString("#compdef svidhelper\n# Made by TestManuals of cmd/svidhelper.\nlocal -a commands\ncommands=(\n")
	for _, c := range commands() {
		if !strings.Contains(c.name, " ") {
			fmt.Fprintf(&b, "\t'%s:%s'\n", c.name, quote(c.does))
		}
	}
	b.WriteString(`)
if (( CURRENT == 2 )) && [[ $PREFIX != -* ]]; then
	_describe command commands
	return
fi
case ${words[2]} in
`)
	for _, c := range commands() {
		if strings.Contains(c.name, " ") {
			continue
		}
		pattern := c.name
		if pattern == "run" {
			pattern = "run | -*"
		}
		fmt.Fprintf(&b, "(%s)\n\t_arguments", pattern)
		for _, f := range flagsOf(t, c) {
			fmt.Fprintf(&b, " \\\n\t\t'-%s[%s]%s'", f.name, quote(f.does), zshValue(f))
		}
		switch {
		case takesFiles(c.name) && words(c.name) != nil:
			fmt.Fprintf(&b, " \\\n\t\t'2:what:(%s)' \\\n\t\t'*:file:_files'", strings.Join(words(c.name), " "))
		case takesFiles(c.name):
			b.WriteString(" \\\n\t\t'*:file:_files'")
		case words(c.name) != nil:
			fmt.Fprintf(&b, " \\\n\t\t'2:what:(%s)'", strings.Join(words(c.name), " "))
		}
		b.WriteString("\n\t;;\n")
	}
	b.WriteString("esac\n")
	return b.String()
}

func zshValue(f flagText) string {
	switch values := valuesOf(f); {
	case f.value == "":
		return ""
	case values == nil:
		return ":" + f.value + ":"
	case values[0] == "file":
		return ":file:_files"
	case values[0] == "directory":
		return ":directory:_files -/"
	default:
		return ":" + f.value + ":(" + strings.Join(values, " ") + ")"
	}
}

// fishCompletion returns a completion for fish.
func fishCompletion(t *testing.T) string {
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	var b strings.Builder
	b.WriteString("# Made by TestManuals of cmd/svidhelper.\ncomplete -c svidhelper -f\n")
	for _, c := range commands() {
		if strings.Contains(c.name, " ") {
			continue
		}
		fmt.Fprintf(&b, "complete -c svidhelper -n __fish_use_subcommand -a %s -d '%s'\n", c.name, quote(c.does))
		seen := fmt.Sprintf("-n '__fish_seen_subcommand_from %s'", c.name)
		for _, f := range flagsOf(t, c) {
			value := ""
			switch values := valuesOf(f); {
			case f.value == "":
			case values == nil:
				value = " -x"
			case values[0] == "file":
				value = " -r -F"
			case values[0] == "directory":
				value = " -x -a '(__fish_complete_directories)'"
			default:
				value = " -x -a '" + strings.Join(values, " ") + "'"
			}
			fmt.Fprintf(&b, "complete -c svidhelper %s -o %s%s -d '%s'\n", seen, f.name, value, quote(f.does))
		}
		if w := words(c.name); w != nil {
			fmt.Fprintf(&b, "complete -c svidhelper %s -a '%s'\n", seen, strings.Join(w, " "))
		}
		if takesFiles(c.name) {
			fmt.Fprintf(&b, "complete -c svidhelper %s -F\n", seen)
		}
	}
	return b.String()
}

// TestCompletions: each shell takes its completion, and offers what fits.
func TestCompletions(t *testing.T) {
	t.Run("bash", func(t *testing.T) {
		for line, want := range map[string]string{
			"svidhelper ch":                    "check",
			"svidhelper run -on-rotation SIGU": "SIGUSR1 SIGUSR2",
			"svidhelper config pr":             "print",
			"svidhelper -age":                  "-agent-address",
			"svidhelper run -- -a":             "",
			"svidhelper check ../../LIC":       "../../LICENSE",
			"svidhelper run -dir ../../exampl": "../../examples",
		} {
			typed := strings.Fields(line)
			got := run(t, "bash", "-c", fmt.Sprintf(
				`. ../../docs/completion/svidhelper.bash; COMP_WORDS=(%s); COMP_CWORD=%d; _svidhelper; echo "${COMPREPLY[*]}"`, line, len(typed)-1))
			if strings.TrimSpace(got) != want {
				t.Errorf("%s: %q, want %q", line, strings.TrimSpace(got), want)
			}
		}
	})
	for shell, file := range map[string]string{"zsh": "_svidhelper", "fish": "svidhelper.fish"} {
		t.Run(shell, func(t *testing.T) {
			need(t, shell)
			run(t, shell, "-n", "../../docs/completion/"+file)
		})
	}
	t.Run("fish offers", func(t *testing.T) {
		need(t, "fish")
		got := run(t, "fish", "-c", `source ../../docs/completion/svidhelper.fish; complete -C "svidhelper run -on-rotation SIGU" | string replace -r "\\t.*" ""`)
		if want := "SIGUSR1\nSIGUSR2\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
