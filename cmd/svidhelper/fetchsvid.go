package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/svidhelper/svidhelper/helper"
	"github.com/svidhelper/svidhelper/helper/credential"
	"github.com/svidhelper/svidhelper/helper/encode"
	"github.com/svidhelper/svidhelper/helper/nearest"
	"github.com/svidhelper/svidhelper/helper/source"
)

func runFetchJWT(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("fetch jwt")
	var w wanted
	w.register(fs)
	var audience []string
	fs.Func("audience", "a service that the token is for, by `name`; repeatable", func(name string) error {
		audience = append(audience, name)
		return checkAudience(name)
	})
	form := string(credential.Token)
	fs.Func("o", "the `form`: "+strings.Join(formNames(), ", ")+" (default token)", func(name string) error {
		form = name
		return checkForm(name)
	})
	if code, done := w.parse(fs, args, stdout, stderr); done {
		return code
	}
	if len(audience) == 0 {
		fmt.Fprintln(stderr, "svidhelper: fetch jwt needs -audience: the name of the service that the token is for")
		return exitUsage
	}
	o := credential.JWTOutput(encode.JWTSVID{Audience: audience, ID: w.id, Hint: w.hint})
	return w.print(o, func(set encode.Set) ([]byte, error) {
		return credential.PrintJWT(credential.Form(form), set)
	}, stdout, stderr)
}

func runFetchX509(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("fetch x509")
	var w wanted
	w.register(fs)
	fs.Func("o", "the `form`: json (the default, and the only one)", func(name string) error {
		if name != string(credential.JSON) {
			return errors.New("an X.509-SVID is printed as json; fetch -dir writes PEM files")
		}
		return nil
	})
	if code, done := w.parse(fs, args, stdout, stderr); done {
		return code
	}
	return w.print(credential.X509Output(encode.Selector{ID: w.id, Hint: w.hint}), credential.PrintX509, stdout, stderr)
}

// wanted says which SVID is to be printed, and where it comes from.
type wanted struct {
	address string
	id      spiffeid.ID
	hint    string
	timeout time.Duration
}

func (w *wanted) register(fs *flag.FlagSet) {
	fs.Func("agent-address", "the Workload API's `address`, instead of that of "+addressVariable, func(s string) error {
		address, err := source.ParseAddress(s, runtime.GOOS)
		w.address = address.String()
		return err
	})
	fs.Func("spiffe-id", "the SVID of this SPIFFE `ID` (default the default identity)", func(s string) (err error) {
		w.id, err = spiffeid.FromString(s)
		return err
	})
	fs.StringVar(&w.hint, "hint", "", "the first SVID with this `hint`")
	fs.DurationVar(&w.timeout, "timeout", helper.DefaultTimeout, "give up after this `duration`")
}

// parse parses args. done says that there is nothing left to do but to exit with
// code.
func (w *wanted) parse(fs *flag.FlagSet, args []string, stdout, stderr io.Writer) (code int, done bool) {
	if code, done := parseFlags(fs, args, stdout, stderr); done {
		return code, true
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "svidhelper: unexpected argument %q: %s takes flags only\n", fs.Arg(0), fs.Name())
		return exitUsage, true
	}
	if refuseNegative(w.timeout, stderr) {
		return exitUsage, true
	}
	if w.address != "" {
		return exitOK, false
	}
	address, diagnostics := environmentAddress()
	fmt.Fprint(stderr, diagnostics)
	w.address = address
	return exitFailure, diagnostics.HasErrors()
}

// print fetches what an output holds and prints it. On a failure nothing is
// printed.
func (w *wanted) print(o encode.Output, form func(encode.Set) ([]byte, error), stdout, stderr io.Writer) int {
	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer release()
	log := textLogger(stderr, slog.LevelWarn) // what goes well is no news to a script
	set, err := helper.Get(ctx, w.address, o, w.timeout, log)
	if err != nil {
		return exit(err, stderr)
	}
	for _, why := range set.Skipped {
		log.Warn("left out", "reason", why)
	}
	text, err := form(set)
	if err == nil {
		_, err = stdout.Write(text)
	}
	return exit(err, stderr)
}

func checkAudience(name string) error {
	switch {
	case name == "":
		return errors.New("an audience cannot be empty")
	case !utf8.ValidString(name):
		return errors.New("an audience is UTF-8")
	}
	return nil
}

func formNames() (names []string) {
	for _, f := range credential.Forms() {
		names = append(names, string(f))
	}
	return names
}

// checkForm refuses what is no form of a JWT-SVID.
func checkForm(name string) error {
	if slices.Contains(formNames(), name) {
		return nil
	}
	hint := nearest.Hint(name, formNames(), "the forms are "+strings.Join(formNames(), ", "))
	if name == "credential-process" {
		hint = "AWS reads its own keys there, which only AWS gives. Its libraries exchange a JWT-SVID for them: have a jwt_svid written to a file, and name that in AWS_WEB_IDENTITY_TOKEN_FILE"
	}
	return errors.New(hint)
}
