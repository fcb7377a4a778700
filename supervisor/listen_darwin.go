package supervisor

func listenFDs() []int { return nil }

const noGate = -1

func adopting(path string, argv []string, _ int) (string, []string) { return path, argv }
