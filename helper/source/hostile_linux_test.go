package source

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/svidhelper/svidhelper/helper/devapi/devapitest"
)

// hostileEnv makes this program a source that takes one answer of the server there
// cost.
const hostileEnv = "SVIDHELPER_TEST_HOSTILE"

func init() {
	if address := os.Getenv(hostileEnv); address != "" {
		takeHostileAnswer(address)
	}
}

// takeHostileAnswer is the child of TestHostileAnswers: it takes the answer of the
// server at address and writes the most memory, in bytes, and the time of the CPU.
func takeHostileAnswer(address string) {
	s, err := New(Config{Address: address, Needs: Needs{X509: true, JWTBundles: true}}, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for answered := false; !answered; {
		<-s.Updates()
		answered = true
		for _, p := range s.Status().Profiles {
			answered = answered && (p.LastError != nil || !p.LastSuccess.IsZero())
		}
	}
	end := time.Now()
	cancel()
	<-done
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	fmt.Println(mostMemory(), (used.Utime.Nano()+used.Stime.Nano())/1e6, time.Since(end).Milliseconds())
	for _, p := range s.Status().Profiles {
		fmt.Printf("%s: good %t: %v; ", p.Name(), !p.LastSuccess.IsZero(), p.LastError)
	}
	os.Exit(0)
}

// mostMemory returns the largest resident size so far, in bytes. That of getrusage
// begins with the parent's.
func mostMemory() int64 {
	_, line, _ := strings.Cut(string(must(os.ReadFile("/proc/self/status"))), "VmHWM:")
	kB, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	return must(strconv.ParseInt(kB, 10, 64)) << 10
}

// field, entry and many write protocol buffers.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func entry(key string, value []byte) []byte { return append(field(1, []byte(key)), field(2, value)...) }

func many(n int, f func(i int) []byte) (all []byte) {
	for i := range n / burden {
		all = append(all, f(i)...)
	}
	return all
}

func times(n int, value []byte) []byte { return bytes.Repeat(value, n/burden) }

// A hostileAnswer is what a server says on each of two streams.
type hostileAnswer struct {
	name string
	x509 []byte
	jwt  []byte // nil: nothing special
	bad  bool   // nothing of x509 can be used
}

// hostileAnswers calls try for each, one at a time: they are large.
func hostileAnswers(t *testing.T, try func(hostileAnswer)) {
	good := wire(t, x509Answer(issueX509(t, newAuthority(t, "example.org"), testID, "")))
	with := func(more []byte) []byte { return append(good[:len(good):len(good)], more...) }
	bundle := func(i int) []byte { return field(3, entry(strconv.FormatInt(int64(i), 36), []byte{'x'})) }
	svid := func(i int) []byte {
		return field(1, entry(fmt.Sprintf("spiffe://example.org/%d", i), []byte("garbage")))
	}
	try(hostileAnswer{name: "ordinary", x509: good})
	try(hostileAnswer{name: "1,000,000 garbage bundles", x509: with(many(1_000_000, bundle))})
	try(hostileAnswer{name: "4,000,000 garbage bundles", x509: with(many(4_000_000, bundle))})
	try(hostileAnswer{name: "4,000,000 garbage CRLs", x509: with(times(4_000_000, field(2, []byte{'x'})))})
	try(hostileAnswer{name: "200,000 garbage SVIDs", x509: with(many(200_000, svid))})
	try(hostileAnswer{name: "hint of 60 MB", x509: with(field(1, field(5, make([]byte, 60<<20/burden))))})
	try(hostileAnswer{name: "hint 20,000,000 times", x509: with(field(1, times(20_000_000, field(5, nil))))})
	try(hostileAnswer{name: "10,000,000 unknown fields", x509: with(times(10_000_000, field(9, []byte{0})))})
	try(hostileAnswer{name: "200,000 DNS names", x509: wire(t, manyNames(t, 200_000/burden)), bad: true})
	try(hostileAnswer{name: "100 authorities, RSA 16384", x509: wire(t, slowAuthorities(t, 100)), bad: true})
	try(hostileAnswer{name: "JWKS of 10,000,000 keys", x509: good, jwt: field(1, entry("spiffe://example.org",
		fmt.Appendf(nil, `{"keys":[{}%s]}`, times(10_000_000, []byte(",{}")))))})
	try(hostileAnswer{name: "JWKS 10,000,000 deep", x509: good, jwt: field(1, entry("spiffe://example.org",
		append([]byte(`{"keys":`), times(10_000_000, []byte("["))...)))})
}

// Each answer costs no more memory than four times its size, and seconds of the
// CPU, however it is made, and what is good in it is taken up.
func TestHostileAnswers(t *testing.T) {
	if encoding.GetCompressor("gzip") != nil {
		t.Error("gzip is linked in: a server could send a gigabyte in a megabyte")
	}
	var ordinary int64
	t.Logf("%-28s %9s %10s %6s %8s %8s  %s", "answer", "size MB", "memory MB", "times", "CPU ms", "stop ms", "result")
	hostileAnswers(t, func(a hostileAnswer) {
		if a.jwt == nil {
			a.jwt = field(1, entry("spiffe://example.org", []byte(`{"keys":[]}`)))
		}
		size := int64(max(len(a.x509), len(a.jwt)))
		peak, cpu, stop, result := a.take(t)
		if ordinary == 0 {
			ordinary = peak
		}
		peak -= ordinary
		t.Logf("%-28s %9.2f %10.1f %6.2f %8d %8d  %.150s", a.name, float64(size)/1e6, float64(peak)/1e6, float64(peak)/float64(size), cpu, stop, result)
		if most := burden * (4*size + 8<<20); peak > most {
			t.Errorf("%s: %d MB more than an ordinary answer, want at most %d", a.name, peak>>20, most>>20)
		}
		if cpu > burden*10_000 || stop > burden*1000 {
			t.Errorf("%s: %d ms of the CPU, and %d ms to stop", a.name, cpu, stop)
		}
		if !a.bad && !strings.Contains(result, "x509_svid: good true") {
			t.Errorf("%s: the good SVID was not taken up: %s", a.name, result)
		}
	})
}

// take has another process take the answer.
func (a hostileAnswer) take(t *testing.T) (memory, cpu, stop int64, result string) {
	t.Helper()
	socket := devapitest.Socket(t)
	l, err := net.Listen("unix", socket)
	check(t, err)
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(a.answer))
	go server.Serve(l)
	defer server.Stop()
	cmd := exec.Command(must(os.Executable()))
	cmd.Env = append(os.Environ(), hostileEnv+"=unix://"+socket)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", a.name, err, stderr.String())
	}
	figures, result, _ := strings.Cut(string(out), "\n")
	if _, err := fmt.Sscan(figures, &memory, &cpu, &stop); err != nil {
		t.Fatal(err)
	}
	return memory, cpu, stop, result
}

func (a hostileAnswer) answer(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	message := a.jwt
	if path.Base(method) == "FetchX509SVID" {
		message = a.x509
	}
	if err := stream.SendMsg(message); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// A rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string                         { return "proto" }
func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func manyNames(t *testing.T, n int) *workload.X509SVIDResponse {
	t.Helper()
	return x509Answer(issueX509(t, newAuthority(t, "example.org"), testID, "", func(c *x509.Certificate) {
		for i := range n {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host%d.example.org", i))
		}
	}))
}

// slowAuthorities returns an SVID that any of n authorities could have signed:
// each has the right name and a very large RSA key.
func slowAuthorities(t *testing.T, n int) *workload.X509SVIDResponse {
	t.Helper()
	root := newIssuer(t, ec(elliptic.P256()), nil)
	svid := root.leaf(ec(elliptic.P256()), testID.String())
	for i := range n {
		key := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537}
		noise := make([]byte, 2000)
		rand.Read(noise)
		key.N.Add(key.N, new(big.Int).SetBytes(noise)).SetBit(key.N, 0, 1)
		template := *root.cert
		template.SerialNumber = big.NewInt(int64(i + 1))
		svid.Bundle = append(svid.Bundle, must(x509.CreateCertificate(rand.Reader, &template, root.cert, key, root.key))...)
	}
	svid.X509Svid = asRSA(t, svid.X509Svid, 2048)
	return x509Answer(svid)
}

// asRSA makes a certificate look as if it was signed with RSA.
func asRSA(t *testing.T, der []byte, signature int) []byte {
	t.Helper()
	var cert struct {
		TBS struct {
			Version    asn1.RawValue
			Serial     *big.Int
			Algorithm  pkix.AlgorithmIdentifier
			Issuer     asn1.RawValue
			Validity   asn1.RawValue
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Extensions asn1.RawValue
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err := asn1.Unmarshal(der, &cert)
	check(t, err)
	sha256WithRSA := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	cert.TBS.Algorithm, cert.Algorithm = sha256WithRSA, sha256WithRSA
	noise := make([]byte, signature)
	rand.Read(noise[1:])
	cert.Signature = asn1.BitString{Bytes: noise, BitLength: 8 * signature}
	return must(asn1.Marshal(cert))
}
