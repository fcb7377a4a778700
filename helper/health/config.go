package health

// A Config says where health is served. Equal paths are a config error.
type Config struct {
	// Address to listen on, host:port; an empty host means all interfaces.
	Address string
	// LivePath and ReadyPath are the paths of the two checks.
	LivePath, ReadyPath string
	// LiveNeedsWrites has live, too, answer 503 while a write has failed: both
	// checks of spiffe-helper do.
	LiveNeedsWrites bool
}

// The paths served unless the configuration names others.
const (
	DefaultLivePath  = "/live"
	DefaultReadyPath = "/ready"
)
