//go:build unix

package supervisor

func showMain() int { return 0 }
