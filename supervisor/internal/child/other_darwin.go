package child

func ignoreDeadly(bool) {} // the Go runtime handles them all
