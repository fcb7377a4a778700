// Command jwx says what a JOSE library other than svidhelper's makes of tokens and
// key sets: a line of JSON in, a line of JSON out. It has a module file of its own,
// so that the library never enters the product's module graph.
package main

import (
	"bufio"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"os"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// A question is a token and the keys that may have signed it.
type question struct {
	Token string
	Keys  json.RawMessage
	Now   int64
}

// An answer is what the library makes of it.
type answer struct {
	Parsed      bool     `json:"parsed"` // as a JWS with claims
	Signed      bool     `json:"signed"` // by one of the keys
	Current     bool     `json:"current"`
	Subject     string   `json:"subject"`
	Audience    []string `json:"audience"`
	Expires     int64    `json:"expires"`
	Thumbprints []string `json:"thumbprints"` // of the keys, in their order
}

func main() {
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			panic(err)
		}
		if err := out.Encode(look(q)); err != nil {
			panic(err)
		}
	}
}

func look(q question) (a answer) {
	set, err := jwk.Parse(q.Keys)
	if err != nil {
		return a
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		if sum, err := key.Thumbprint(crypto.SHA256); err == nil {
			a.Thumbprints = append(a.Thumbprints, base64.RawURLEncoding.EncodeToString(sum))
		}
	}
	if q.Token == "" {
		return a
	}
	_, err = jws.Verify([]byte(q.Token), jws.WithKeySet(set, jws.WithInferAlgorithmFromKey(true), jws.WithUseDefault(false)))
	a.Signed = err == nil
	token, err := jwt.ParseInsecure([]byte(q.Token))
	if err != nil {
		return a
	}
	a.Parsed = true
	a.Subject, _ = token.Subject()
	a.Audience, _ = token.Audience()
	if at, ok := token.Expiration(); ok {
		a.Expires = at.Unix()
	}
	clock := jwt.ClockFunc(func() time.Time { return time.Unix(q.Now, 0) })
	a.Current = jwt.Validate(token, jwt.WithClock(clock), jwt.WithAcceptableSkew(time.Minute)) == nil
	return a
}
