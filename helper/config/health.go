package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/svidhelper/svidhelper/helper/health"
	"github.com/svidhelper/svidhelper/helper/proof"
)

type proofConfig = proof.Config

func setHealthDefaults(h *health.Config, port int) {
	h.Address = cmp.Or(h.Address, fmt.Sprintf(":%d", port))
	h.LivePath = cmp.Or(h.LivePath, health.DefaultLivePath)
	h.ReadyPath = cmp.Or(h.ReadyPath, health.DefaultReadyPath)
}

// checkListen accepts host:port.
func checkListen(s string) (string, error) {
	hint := `write ":8081" or "127.0.0.1:8081"`
	if !strings.Contains(s, ":") && s != "" && strings.Trim(s, "0123456789") == "" {
		hint = "write " + quote(":"+s)
	}
	_, _, err := splitHostPort(s)
	return hint, err
}

// checkPath accepts the path of a check.
func checkPath(s string) (string, error) {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "write " + quote("/"+s), errors.New("a path begins with a slash")
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("{}?#%", r) }):
		return "", fmt.Errorf("%q is not a plain path", s)
	}
	return "", nil
}
