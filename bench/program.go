//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
)

// patience bounds every wait for a program.
const patience = time.Minute

// A job is what a program is asked to do.
type job struct {
	root       string // where its directory is made: on tmpfs, or on a disk
	identities int
	audiences  int
	federated  string // "", "merge" or "separate"
	process    bool
}

// A form is one of the programs that are compared.
type form struct {
	name, binary string
	can          func(job) bool
	// daemon and once return the arguments of a run that goes on, and of one
	// that ends when everything is written.
	daemon, once func(p *program) []string
}

func forms(ours, floor, theirs, child string) []form {
	config := func(p *program, text string) string {
		file := filepath.Join(p.dir, "conf", "helper.conf") // by itself: what happens beside it has it read again
		p.err = os.WriteFile(file, []byte(text), 0o600)
		return file
	}
	all := []form{
		{"svidhelper", ours, func(job) bool { return true },
			func(p *program) []string { return []string{"run", "-config", config(p, native(p, child))} },
			func(p *program) []string { return []string{"fetch", "-config", config(p, native(p, child))} }},
		{"floor", floor, func(job) bool { return true },
			func(p *program) []string { return bare(p, child) },
			func(p *program) []string { return append([]string{"-once"}, bare(p, child)...) }},
	}
	if theirs != "" {
		one := func(j job) bool { return j.federated != "separate" && j.identities == 1 && j.audiences == 0 }
		all = append(all, form{"spiffe-helper", theirs, one,
			func(p *program) []string { return []string{"-config", config(p, flat(p, child))} },
			func(p *program) []string {
				return []string{"-config", config(p, flat(p, child)), "-daemon-mode=false"}
			}})
	}
	return all
}

func bare(p *program, child string) []string {
	args := []string{"-address", "unix://" + p.feed.socket, "-dir", p.certs, "-federated", p.job.federated}
	if p.job.process {
		args = append(args, child)
	}
	return args
}

func native(p *program, child string) string {
	var c strings.Builder
	fmt.Fprintf(&c, "agent_address = %q\noutput %q {\n  x509_svid {\n", "unix://"+p.feed.socket, p.certs)
	if p.job.identities > 1 {
		fmt.Fprint(&c, "    all = true\n    cert = \"svid.{index}.pem\"\n    key = \"svid.{index}_key.pem\"\n    bundle = \"svid.{index}_bundle.pem\"\n")
	} else {
		fmt.Fprint(&c, "    cert = \"svid.pem\"\n    key = \"svid_key.pem\"\n    bundle = \"svid_bundle.pem\"\n")
	}
	if p.job.federated != "" {
		fmt.Fprintf(&c, "    federated_bundles = %q\n", p.job.federated)
	}
	fmt.Fprint(&c, "  }\n")
	for i := range p.job.audiences {
		fmt.Fprintf(&c, "  jwt_svid {\n    audience = [\"audience-%d\"]\n    file = \"%d.jwt\"\n  }\n", i, i)
	}
	fmt.Fprint(&c, "}\n")
	if p.job.process {
		fmt.Fprintf(&c, "process {\n  command = [%q]\n  on_rotation = \"SIGHUP\"\n}\n", child)
	}
	return c.String()
}

func flat(p *program, child string) string {
	c := fmt.Sprintf("agent_address = %q\ncert_dir = %q\nsvid_file_name = \"svid.pem\"\nsvid_key_file_name = \"svid_key.pem\"\nsvid_bundle_file_name = \"svid_bundle.pem\"\ninclude_federated_domains = %t\n",
		p.feed.socket, p.certs, p.job.federated != "")
	if p.job.process {
		c += fmt.Sprintf("cmd = %q\nrenew_signal = \"SIGHUP\"\n", child)
	}
	return c
}

// A program is one running form.
type program struct {
	form    form
	job     job
	feed    *feed
	dir     string // of what belongs to it
	certs   string // of what it writes
	cmd     *exec.Cmd
	begun   time.Time // executed
	ready   time.Time // the process had read the first pair
	reports chan report
	listen  net.Listener
	gone    chan struct{} // closed at the program's end
	err     error
}

// A report is what the child says: which leaf it has read with its key.
type report struct {
	leaf string
	at   time.Time
}

// prepare makes the program's directory and its command, and starts nothing.
func prepare(f form, j job, feed *feed, args func(*program) []string) (*program, error) {
	dir, err := os.MkdirTemp(j.root, f.name)
	if err != nil {
		return nil, err
	}
	p := &program{form: f, job: j, feed: feed, dir: dir, certs: filepath.Join(dir, "certs"), reports: make(chan report, 64), gone: make(chan struct{})}
	for _, d := range []string{p.certs, filepath.Join(dir, "conf")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	p.cmd = exec.Command(f.binary, args(p)...)
	if p.err != nil {
		return nil, p.err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	socket := feed.socket + "." + filepath.Base(dir)
	if p.listen, err = net.Listen("unix", socket); err != nil {
		return nil, err
	}
	data := p.certs + "/..data" // resolved by each read anew: the newest generation
	if f.name == "spiffe-helper" {
		data = p.certs
	}
	name := "svid"
	if f.name == "svidhelper" && j.identities > 1 {
		name = "svid.0"
	}
	p.cmd.Env = append(os.Environ(), "BENCH_REPORT="+socket, "BENCH_PAIR="+filepath.Join(data, name))
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// What is behind a crash of the bench goes with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return p, nil
}

// start starts a program and waits until its process has read the first pair.
func start(f form, j job, feed *feed) (*program, error) {
	p, err := prepare(f, j, feed, f.daemon)
	if err != nil {
		return nil, err
	}
	p.begun = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.hear()
	if j.process {
		p.ready, err = p.await("")
	}
	return p, err
}

func (p *program) hear() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		go func() {
			<-p.gone
			c.Close() // and the process ends
		}()
		go func() {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				p.reports <- report{lines.Text(), time.Now()}
			}
		}()
	}
}

// await waits until the process has read the leaf, or any if that is empty.
func (p *program) await(leaf string) (time.Time, error) {
	timeout := time.After(patience)
	for {
		select {
		case r := <-p.reports:
			if leaf == "" || r.leaf == leaf {
				return r.at, nil
			}
		case <-timeout:
			log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			return time.Time{}, fmt.Errorf("%s: the process did not read the new pair within %s:\n%s", p.form.name, patience, log)
		}
	}
}

// rotate pushes the answer and returns how long it took to the process.
func (p *program) rotate(answer *workload.X509SVIDResponse) (time.Duration, error) {
	p.feed.push(answer)
	at, err := p.await(leafOf(answer))
	return at.Sub(p.feed.lastSent()), err
}

// stop ends the program, and the process, which spiffe-helper leaves behind.
func (p *program) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	p.remove()
}

func (p *program) remove() {
	close(p.gone)
	p.listen.Close()
	os.RemoveAll(p.dir)
}
