package child

func ignoreOwn(bool) {} // there are no signals
