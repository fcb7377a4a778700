package supervisor

func listenFDs() []int { return nil }

func adopting(path string, argv []string) (string, []string) { return path, argv }
