package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// unpacked returns a directory with what the image's layers hold, and its
// configuration.
func unpacked(t *testing.T) (rootfs string, entrypoint []string, user string) {
	t.Helper()
	r, dir := releaseOf(t), t.TempDir()
	run(t, "tar", "-C", dir, "-xf", filepath.Join(r.dist, "svidhelper_1.2.3_oci.tar"))
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if name := top.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; name != "svidhelper:1.2.3" {
		t.Errorf("podman load calls it %s", name)
	}
	platforms, err := index.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	images, err := platforms.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := platforms.Image(images.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	rootfs = filepath.Join(dir, "rootfs")
	if err := os.Mkdir(rootfs, 0o755); err != nil {
		t.Fatal(err)
	}
	content := mutate.Extract(image)
	defer content.Close()
	tar := exec.Command("tar", "-C", rootfs, "-x")
	tar.Stdin = content
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return rootfs, cfg.Config.Entrypoint, cfg.Config.User
}

// TestImageIsTheBinary: there is nothing else in the image, so its size is the
// binary's, and its user is not root.
func TestImageIsTheBinary(t *testing.T) {
	rootfs, entrypoint, user := unpacked(t)
	var all []string
	files, err := os.ReadDir(rootfs)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		all = append(all, "/"+f.Name())
	}
	if !slices.Equal(all, []string{"/svidhelper"}) || !slices.Equal(entrypoint, all) || user != "65532:65532" {
		t.Errorf("in the image: %q; it starts %q as %s", all, entrypoint, user)
	}
}

// A container is one of the image, with a root that cannot be written.
type container struct {
	t      *testing.T
	bundle string
	id     string
}

type object = map[string]any

// newContainer prepares a container that runs the image with arguments.
func newContainer(t *testing.T, id string, mounts map[string]string, args ...string) *container {
	t.Helper()
	need(t, "runc")
	needRoot(t, "a container takes root's rights here")
	rootfs, entrypoint, _ := unpacked(t)
	bundle := t.TempDir()
	run(t, "runc", "spec", "--bundle", bundle)
	var spec object
	path := filepath.Join(bundle, "config.json")
	if err := json.Unmarshal(read(t, path), &spec); err != nil {
		t.Fatal(err)
	}
	process := spec["process"].(object)
	process["terminal"], process["args"], process["user"] = false, append(entrypoint, args...), object{"uid": 65532, "gid": 65532}
	process["capabilities"], process["noNewPrivileges"] = object{}, true
	spec["root"] = object{"path": rootfs, "readonly": true}
	linux := spec["linux"].(object)
	linux["namespaces"] = slices.DeleteFunc(linux["namespaces"].([]any), func(n any) bool { return n.(object)["type"] == "network" })
	delete(linux, "resources")
	for at, from := range mounts {
		spec["mounts"] = append(spec["mounts"].([]any), object{"destination": at, "source": from, "type": "bind", "options": []string{"rbind", "rw"}})
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return &container{t, bundle, id}
}

func (c *container) command(args ...string) *exec.Cmd {
	return exec.Command("runc", append([]string{"--root", filepath.Join(c.bundle, "state")}, args...)...)
}

// workloadAPI starts one, and returns the directory of its socket.
func workloadAPI(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	socket := filepath.Join(dir, "api.sock")
	dev := exec.Command(program, "dev", "-ttl", "1h", "-socket", socket)
	dev.Stderr = t.Output()
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Process.Kill(); dev.Wait() })
	await(t, "the development Workload API", func() bool { return os.Chmod(socket, 0o777) == nil })
	return dir
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s, in vain", what)
		}
	}
}

// TestImage: fetch, run and check -ready work in a container of the image, as its
// user, with a root that is read-only.
func TestImage(t *testing.T) {
	needRoot(t, "the image's user gets a directory of its own")
	rootfs, _, _ := unpacked(t)
	volume := t.TempDir()
	if err := os.Chown(volume, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	mounts := map[string]string{"/spiffe": workloadAPI(t, filepath.Join(rootfs, "svidhelper")), "/tls": volume}
	const address = "unix:///spiffe/api.sock"

	fetch := newContainer(t, "fetch", mounts, "fetch", "-agent-address", address, "-dir", "/tls/once")
	if out, err := fetch.command("run", "--bundle", fetch.bundle, "fetch").CombinedOutput(); err != nil {
		t.Fatalf("fetch: %v\n%s", err, out)
	}
	if key := read(t, filepath.Join(volume, "once/svid_key.pem")); !strings.Contains(string(key), "PRIVATE KEY") {
		t.Errorf("the key is %s", key)
	}

	config := "agent_address = \"" + address + "\"\noutput \"/tls/kept\" {\n  x509_svid {}\n}\nhealth {\n  address = \"127.0.0.1:0\"\n}\n"
	if err := os.WriteFile(filepath.Join(volume, "helper.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := newContainer(t, "run", mounts, "run", "-config", "/tls/helper.conf")
	cmd := daemon.command("run", "--bundle", daemon.bundle, "run")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() error {
		if out, err := daemon.command("kill", "run", "TERM").CombinedOutput(); err != nil {
			t.Logf("kill: %v %s", err, out)
		}
		return cmd.Wait()
	}
	said := make(chan string, 100)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	await(t, "the files", func() bool { _, err := os.Stat(filepath.Join(volume, "kept/svid.pem")); return err == nil })
	await(t, "check -ready", func() bool {
		out, err := daemon.command("exec", "run", "/svidhelper", "check", "-ready", "-config", "/tls/helper.conf").CombinedOutput()
		if err != nil {
			t.Logf("%s", out)
		}
		return err == nil
	})
	if err := stop(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	for line := range said {
		t.Log(line)
	}
}
