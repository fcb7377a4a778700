package helper

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/test/bufconn"

	"github.com/svidhelper/svidhelper/helper/config"
	"github.com/svidhelper/svidhelper/helper/devapi"
	"github.com/svidhelper/svidhelper/helper/events"
	"github.com/svidhelper/svidhelper/helper/publish"
	"github.com/svidhelper/svidhelper/helper/source"
)

// A memory is where a Workload API listens that has no socket: the clock of a
// test stands still while somebody waits for one.
type memory struct {
	mu       sync.Mutex
	listener *bufconn.Listener
}

func (m *memory) listen(string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listener = bufconn.Listen(1 << 16)
	return m.listener, nil
}

func (m *memory) dial(ctx context.Context) (net.Conn, error) {
	m.mu.Lock()
	l := m.listener
	m.mu.Unlock()
	return l.DialContext(ctx)
}

// A day is a Workload API that misbehaves at random, and what a reader finds on
// disk meanwhile.
type day struct {
	t         *testing.T
	api       *devapi.Server
	faults    *devapi.Faults
	random    *rand.Rand
	publisher *publish.Publisher

	whole func() // everything is on disk

	mu      sync.Mutex
	disk    disk
	well    time.Time // since when there is no fault; zero while there is one
	strikes map[string]int
}

// mercy is how long after its recovery the Workload API is asked at the latest:
// a token's fetch is tried again after 30 s, at most 20 % more.
const mercy = 37 * time.Second

// TestADayOnDisk: a day of SVIDs that live an hour and tokens that live five
// minutes, with random faults. At each publish and at each minute what is on disk
// matches, and has not expired unless the Workload API has been at fault; the
// number of fetches is what the policy says.
func TestADayOnDisk(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dir := filepath.Join(memoryDir(t), "certs")
	c, diagnostics := config.Parse("helper.conf", fmt.Appendf(nil, `
output %q {
  fsync = false
  x509_svid {}
  jwt_svid {
    audience = ["a"]
    file     = "a"
  }
  jwt_svid {
    audience = ["b", "c"]
    file     = "b"
  }
}`, dir))
	if err := diagnostics.Err(); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	// Outside: whoever watches a directory holds up the clock, too.
	plan := &publish.Plan{Outputs: c.Outputs, Grace: defaultGrace}
	r, err := publish.New(plan, events.New("", logger), logger)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		d := &day{
			t: t, random: rand.New(rand.NewPCG(seed, 1)), publisher: r, well: time.Now(), strikes: map[string]int{},
			disk: disk{dir: dir, tokens: []string{"a", "b"}},
		}
		var m memory
		d.faults = new(devapi.Faults)
		if d.api, err = devapi.New(devapi.Config{Listen: m.listen, Faults: d.faults}); err != nil {
			t.Fatal(err)
		}
		if err := d.api.Start("memory"); err != nil {
			t.Fatal(err)
		}
		src, err := source.New(source.Config{Address: "memory", Dial: m.dial, Needs: Needs(c)}, logger)
		if err != nil {
			t.Fatal(err)
		}
		plan.Source = src
		d.live(t, src)
	})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("the log ends with:\n%s", log.Bytes()[max(0, log.Len()-8000):])
	}
}

// live lets the day pass.
func (d *day) live(t *testing.T, src *source.Source) {
	ctx, stop := context.WithCancel(t.Context())
	whole := make(chan struct{})
	d.whole = sync.OnceFunc(func() { close(whole) })
	var running sync.WaitGroup
	running.Go(func() {
		if err := src.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() { d.publish(ctx, src) })
	var faults sync.WaitGroup
	faults.Go(func() {
		<-whole // there is nothing to look at before
		d.misbehave()
	})

	start, minutes, expired := time.Now(), 0, 0
	for time.Since(start) < 24*time.Hour && !t.Failed() {
		time.Sleep(time.Minute)
		synctest.Wait()
		minutes++
		if d.look("at a minute") {
			expired++
		}
	}
	d.whole() // or it never was
	faults.Wait()
	status := src.Status()
	stop()
	running.Wait()
	if err := d.api.Close(); err != nil {
		t.Error(err)
	}
	d.count(status, minutes, expired)
}

// publish does what a publisher does, and looks at what comes of it.
func (d *day) publish(ctx context.Context, src *source.Source) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-src.Updates():
		}
		ok, err := d.publisher.Rotate(false)
		status := d.publisher.Status()[0]
		if !ok || err != nil {
			d.t.Errorf("rotating: %v %v %v", ok, err, status.Problem)
		}
		if status.Complete {
			d.whole()
			d.look("after a publish")
		}
	}
}

// look looks at what is on disk, as a reader would, and reports whether
// something has expired.
func (d *day) look(when string) (expired bool) {
	d.mu.Lock()
	expired, err := d.disk.check(time.Now())
	well := !d.well.IsZero() && time.Since(d.well) > mercy
	d.mu.Unlock()
	switch {
	case err != nil:
		d.t.Errorf("%s, %v: %v", when, time.Now(), err)
	case expired && well:
		d.t.Errorf("%s, %v: something has expired, with a Workload API that is well", when, time.Now())
	}
	return expired
}

// misbehave has a fault now and then, authorities that rotate, and at noon an
// outage that outlasts every SVID.
func (d *day) misbehave() {
	td := devapi.DefaultID.TrustDomain()
	for half := range 48 {
		rest := 30 * time.Minute
		switch half {
		case 12, 36:
			if err := d.api.AddAuthority(td); err != nil {
				d.t.Error(err)
			}
		case 16, 40:
			if err := d.api.RetireAuthorities(td); err != nil {
				d.t.Error(err)
			}
		case 24:
			d.suffer("down for long", d.down, 75*time.Minute)
			continue
		case 25, 26: // slept through
			continue
		}
		for d.random.IntN(3) > 0 && rest > 10*time.Minute {
			quiet, fault := time.Duration(d.random.IntN(240))*time.Second, time.Duration(d.random.IntN(420))*time.Second
			rest -= quiet + fault
			time.Sleep(quiet)
			name, strike := d.choose()
			d.suffer(name, strike, fault)
		}
		time.Sleep(rest)
	}
}

// suffer has a fault last for a while.
func (d *day) suffer(name string, strike func() (end func()), last time.Duration) {
	set := func(well time.Time) {
		d.mu.Lock()
		d.well = well
		d.mu.Unlock()
	}
	d.strikes[name]++
	set(time.Time{})
	end := strike()
	time.Sleep(last)
	end()
	set(time.Now())
}

func (d *day) down() (end func()) {
	d.api.Down()
	return func() {
		if err := d.api.Up(); err != nil {
			d.t.Error(err)
		}
	}
}

// choose returns a random fault.
func (d *day) choose() (name string, strike func() (end func())) {
	healing := func(strike func()) func() func() {
		return func() func() { strike(); return d.faults.Heal }
	}
	code := []codes.Code{codes.PermissionDenied, codes.Unavailable, codes.Internal, codes.Canceled, codes.InvalidArgument}[d.random.IntN(5)]
	switch d.random.IntN(7) {
	case 0:
		return "down", d.down
	case 1:
		return code.String(), healing(func() { d.faults.Fail(code) })
	case 2:
		return "hanging", healing(func() { d.faults.Hang() })
	case 3:
		return "frozen", healing(d.faults.Freeze)
	case 4:
		return "one message per stream", healing(func() { d.faults.EndAfterEachMessage() })
	case 5:
		return "hang-up", func() func() { d.down()(); return func() {} }
	default:
		return "bad answers", d.spoil
	}
}

// spoil has bad answers given, until its end, when good ones are sent.
func (d *day) spoil() (end func()) {
	svids, err := d.api.BadX509SVIDs()
	if err != nil {
		d.t.Error(err)
	}
	tokens, err := d.api.BadJWTSVIDs("a")
	if err != nil {
		d.t.Error(err)
	}
	svid, token := svids[d.random.IntN(len(svids))], tokens[d.random.IntN(len(tokens))]
	devapi.Mutate(d.faults, func(r *workload.X509SVIDResponse) { svid.Edit(r) })
	devapi.Mutate(d.faults, func(r *workload.JWTSVIDResponse) { token.Edit(r) })
	d.api.Push()
	return func() { d.faults.Heal(); d.api.Push() }
}

// count compares what has been fetched and published with the policy.
func (d *day) count(status *source.Status, minutes, expired int) {
	t, o := d.t, d.publisher.Status()[0]
	counts := d.faults.Counts()
	var good, all uint64
	for _, p := range status.Profiles {
		if p.Profile == source.ProfileJWTSVID {
			all += p.Attempts
			good += p.Attempts - p.Failures - refused(p)
		}
	}
	faults := 0
	for _, n := range d.strikes {
		faults += n
	}
	t.Logf("%d minutes, at %d of them something had expired; %d faults: %v", minutes, expired, faults, d.strikes)
	t.Logf("%d fetches of tokens, %d of them good; %d X.509 streams over %d connections; %d publishes, %d looks at the disk",
		all, good, counts.Attempts[devapi.FetchX509SVID], counts.Connections, o.Rotations, d.disk.looks)
	// Renewed at half of five minutes, within 10 %: 523 to 640 times in a day
	// without faults.
	if good < 2*430 || good > 2*645 {
		t.Errorf("%d good fetches of two tokens, want about %d", good, 2*576)
	}
	// Seven minutes of fault are 45 tries at most, for a stream and for a token.
	if n := counts.Attempts[devapi.FetchX509SVID]; n > 45*(faults+12) {
		t.Errorf("%d X.509 streams for %d faults", n, faults)
	}
	if most := good + 120; o.Rotations > most || o.Rotations < good/3 {
		t.Errorf("%d publishes of %d tokens", o.Rotations, good)
	}
	if expired == 0 || expired > minutes/4 {
		t.Errorf("something had expired at %d of %d minutes; an outage of 75 minutes is behind us", expired, minutes)
	}
}

func refused(p *source.ProfileStatus) (n uint64) {
	for _, times := range p.Rejected {
		n += times
	}
	return n
}
