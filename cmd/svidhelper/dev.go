package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/supervisor"
)

func runDev(args []string, stdout, stderr io.Writer) int {
	var command []string
	dashes := slices.Index(args, "--")
	if dashes >= 0 {
		args, command = args[:dashes], args[dashes+1:]
	}
	flags := newFlags("dev")
	usage := flags.Usage
	flags.Usage = func() {
		usage()
		fmt.Fprintln(flags.Output(), "\nIt answers every request of the standard. An agent may lack some: WIT-SVIDs are\nnew and experimental.")
	}
	var o devOptions
	o.register(flags)
	if code, done := parseFlags(flags, args, stdout, stderr); done {
		return code
	}
	c, err := o.config()
	switch {
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: a command goes after --", flags.Arg(0))
	case dashes >= 0 && len(command) == 0:
		err = errors.New("there is no command after --")
	}
	if err != nil {
		fmt.Fprintln(stderr, "svidhelper:", err)
		return exitUsage
	}
	c.Log = textLogger(stderr, slog.LevelInfo).With("by", "dev") // beside the log of a helper below it
	api, err := devapi.New(c)
	if err != nil {
		return exit(err, stderr)
	}
	return exit(serveDev(api, o.socket, command, stdout, c.Log), stderr)
}

// devOptions are dev's flags.
type devOptions struct {
	devapi.Config
	dns     []string       // of every identity
	keyType devapi.KeyType // of every identity
	socket  string
}

func (o *devOptions) register(flags *flag.FlagSet) {
	flags.Func("id", "issue SVIDs for this `SPIFFE-ID[,hint=H][,dns=N]`; repeatable (default "+devapi.DefaultID.String()+")", o.addIdentity)
	flags.Func("dns", "put this DNS `name` into every X.509-SVID; repeatable", func(name string) error {
		o.dns = append(o.dns, name)
		return nil
	})
	flags.Func("federated", "hand out the bundles of this foreign `trust-domain` too; repeatable", func(name string) error {
		td, err := spiffeid.TrustDomainFromString(name)
		o.Federated = append(o.Federated, td)
		return err
	})
	flags.DurationVar(&o.TTL, "ttl", 0, "lifetime of X.509-SVIDs and WIT-SVIDs, which rotate at half of it (default 1h)")
	flags.DurationVar(&o.JWTTTL, "jwt-ttl", 0, "lifetime of JWT-SVIDs (default 5m)")
	flags.StringVar((*string)(&o.JWTAlgorithm), "jwt-alg", "ES256", "signature `algorithm` of JWT-SVIDs: ES256 or RS256")
	flags.StringVar((*string)(&o.keyType), "key-type", "ec-p256", "`type` of the X.509-SVIDs' keys: ec-p256, ec-p384, rsa-2048 or ed25519")
	flags.BoolVar(&o.Intermediate, "intermediate", false, "put an intermediate authority between leaf and root")
	flags.BoolVar(&o.CRL, "crl", false, "hand out certificate revocation lists")
	flags.StringVar(&o.socket, "socket", "", "serve on this `path` or address, unix:///path or tcp://IP:port (default a socket in a new private directory)")
	flags.Func("socket-mode", "`mode` of the socket, octal (default 0600)", func(mode string) error {
		m, err := strconv.ParseUint(mode, 8, 9)
		o.SocketMode = fs.FileMode(m)
		return err
	})
}

// addIdentity parses SPIFFE-ID[,hint=H][,dns=N].
func (o *devOptions) addIdentity(value string) error {
	id, rest, _ := strings.Cut(value, ",")
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return err
	}
	identity := devapi.Identity{ID: parsed}
	for rest != "" {
		var option string
		option, rest, _ = strings.Cut(rest, ",")
		switch key, v, _ := strings.Cut(option, "="); key {
		case "hint":
			identity.Hint = v
		case "dns":
			identity.DNS = append(identity.DNS, v)
		default:
			return fmt.Errorf("unknown option %q: use hint=H or dns=N", option)
		}
	}
	o.Identities = append(o.Identities, identity)
	return nil
}

// maxHint is the longest hint there may be, in bytes.
const maxHint = 1024

// config returns what the flags say together.
func (o *devOptions) config() (devapi.Config, error) {
	c := o.Config
	if c.TTL < 0 || c.JWTTTL < 0 {
		return c, errors.New("a lifetime is not negative")
	}
	if len(c.Identities) == 0 {
		c.Identities = []devapi.Identity{{ID: devapi.DefaultID}}
	}
	for i, id := range c.Identities {
		for _, other := range c.Identities[:i] {
			if other.ID == id.ID {
				return c, fmt.Errorf("-id %s twice: an agent gives each identity one SVID", id.ID)
			}
			if other.Hint == id.Hint && id.Hint != "" {
				return c, fmt.Errorf("hint %q twice: each names one identity (Workload API 5.2.1)", id.Hint)
			}
		}
		if n := len(id.Hint); n > maxHint {
			return c, fmt.Errorf("a hint of %d bytes: the most is %d (Workload API 5.2.1)", n, maxHint)
		}
		c.Identities[i].DNS = append(c.Identities[i].DNS, o.dns...)
		c.Identities[i].KeyType = o.keyType
	}
	return c, errors.Join(o.keyType.Check(), c.JWTAlgorithm.Check())
}

// serveDev serves until a signal says that it is enough, or until the command
// ends.
func serveDev(api *devapi.Server, socket string, command []string, stdout io.Writer, log *slog.Logger) (err error) {
	signals := make(chan os.Signal, 64)
	// Before there is anything to clean up, and until the end of the program, so
	// that a late one does not take the place of the command's status.
	signal.Notify(signals, devSignals(command)...)

	address, remove, err := devAddress(socket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := api.Start(address); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.Close()) }()

	if len(command) > 0 {
		return runBelow(api, command, signals, log)
	}
	fmt.Fprintf(stdout, "export SPIFFE_ENDPOINT_SOCKET=%s\n", api.Addr())
	for sig := range signals {
		if sig != rotateSignal {
			break
		}
		api.Rotate()
	}
	return nil
}

// devSignals are the signals to hear of: with a command all, to pass them on.
func devSignals(command []string) []os.Signal {
	if len(command) > 0 {
		return supervisor.Signals()
	}
	return []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, rotateSignal}
}

// runBelow runs a command that finds the API in its environment, and returns
// its exit status. The command gets every signal but the one that rotates.
func runBelow(api *devapi.Server, command []string, signals <-chan os.Signal, log *slog.Logger) error {
	process, err := supervisor.New(supervisor.Spec{
		Command:    command,
		Env:        []string{"SPIFFE_ENDPOINT_SOCKET=" + api.Addr()},
		OnRotation: supervisor.Rotation{Action: supervisor.RotationNone},
	}, log)
	if err != nil {
		return err
	}
	process.Rotated() // nothing to wait for: start
	ended := make(chan error, 1)
	go func() { ended <- process.Run(context.Background()) }()
	for {
		select {
		case err := <-ended:
			return err
		case sig := <-signals:
			if sig == rotateSignal {
				api.Rotate()
				continue
			}
			process.Signal(sig.(syscall.Signal))
		}
	}
}

// devAddress turns the -socket flag into an address. Without one it makes a
// private directory, which remove removes again.
func devAddress(socket string) (address string, remove func() error, err error) {
	remove = func() error { return nil }
	switch {
	case strings.HasPrefix(socket, "unix:") || strings.HasPrefix(socket, "tcp:"):
		return socket, remove, nil
	case socket != "":
		path, err := filepath.Abs(socket)
		return "unix://" + filepath.ToSlash(path), remove, err
	case runtime.GOOS == "windows": // where clients of the Workload API know no sockets
		return "tcp://127.0.0.1:0", remove, nil
	}
	dir, err := os.MkdirTemp(os.Getenv("XDG_RUNTIME_DIR"), "svidhelper-dev-")
	if err != nil {
		return "", remove, fmt.Errorf("making a private directory for the socket: %w; or choose a path with -socket", err)
	}
	return "unix://" + filepath.Join(dir, "api.sock"), func() error { return os.RemoveAll(dir) }, nil
}
