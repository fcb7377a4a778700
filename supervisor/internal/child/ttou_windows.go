package child

func inheriting(fork func() (int, error)) (int, error) { return fork() }
