package source

import (
	"context"
	"fmt"
	"runtime"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
)

// ValidateJWTSVID asks the Workload API at an address once whether it accepts a
// JWT-SVID for an audience (Workload API 6.2.3). An error says why it does not, or
// why it could not be asked.
func ValidateJWTSVID(ctx context.Context, address, token, audience string) error {
	a, err := ParseAddress(address, runtime.GOOS)
	if err != nil {
		return fmt.Errorf("address of the Workload API %q: %w", address, err)
	}
	l, err := newDialer(a).dial(ctx)
	if err != nil {
		return fmt.Errorf("asking the Workload API at %s: %s", a, explainConnection(err, a.String()))
	}
	defer l.close()
	_, err = l.api.ValidateJWTSVID(withHeader(ctx), &workload.ValidateJWTSVIDRequest{Audience: audience, Svid: token})
	if err != nil {
		return tidy(err)
	}
	return nil
}
