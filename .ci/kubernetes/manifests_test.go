package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// manifests are the files to apply. The kind of the last one is not the API server's
// own, and is not known to it here.
func manifests(t *testing.T) (names []string) {
	t.Helper()
	all, err := filepath.Glob(examples + "/*.yaml")
	must(t, err)
	for _, name := range all {
		if filepath.Base(name) != "clusterspiffeid.yaml" {
			names = append(names, name)
		}
	}
	if len(names) != 4 {
		t.Fatalf("manifests: %q", names)
	}
	return names
}

// TestManifests: the API server takes every object, with every field, in a namespace
// that takes only what is restricted, and what a Deployment or a Job would make its
// pods of is taken as a pod, too.
func TestManifests(t *testing.T) {
	for _, name := range manifests(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			for _, d := range documents(read(t, name)) {
				created, err := cluster.create(restricted, d, true)
				if err != nil {
					t.Error(err)
					continue
				}
				pod := podOf(created)
				if pod == nil {
					continue
				}
				text, err := yaml.Marshal(pod)
				must(t, err)
				if _, err := cluster.create(restricted, text, true); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// podOf is a pod as the workload would make it, nil if the object makes none.
func podOf(workload object) object {
	spec, _ := workload["spec"].(object)
	template, _ := spec["template"].(object)
	if template == nil {
		return nil
	}
	metadata, _ := template["metadata"].(object)
	pod := object{"apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "metadata": object{"generateName": "pod-"}}
	for key, value := range metadata {
		pod["metadata"].(object)[key] = value
	}
	return pod
}

// TestConfigurations: svidhelper accepts each helper.conf: those of the manifests, and
// those in annotations of the README and of the pods that are injected.
func TestConfigurations(t *testing.T) {
	program := svidhelper(t)
	found := 0
	check := func(name, text string) {
		if text == "" {
			return
		}
		found++
		file := filepath.Join(t.TempDir(), "helper.conf")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		check := exec.Command(program, "config", "check", file)
		check.Env = append(os.Environ(), "SPIFFE_ENDPOINT_SOCKET=unix:///spiffe-workload-api/spire-agent.sock")
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	type asks struct {
		Metadata struct{ Annotations map[string]string }
	}
	pods, err := filepath.Glob("testdata/*.yaml")
	must(t, err)
	for _, name := range append(manifests(t), pods...) {
		for _, d := range documents(read(t, name)) {
			var o struct {
				Data map[string]string
				asks
			}
			must(t, yaml.Unmarshal(d, &o))
			check(name, o.Data["helper.conf"])
			check(name, o.Metadata.Annotations["svidhelper.github.io/config"])
		}
	}
	for _, d := range inREADME(t) {
		var o struct{ Spec struct{ Template asks } }
		must(t, yaml.Unmarshal(d, &o))
		check("README.md", o.Spec.Template.Metadata.Annotations["svidhelper.github.io/config"])
	}
	if want := len(manifests(t)) + 2 + 1; found != want {
		t.Errorf("%d configurations, want %d", found, want)
	}
}

// inREADME are the objects that the README shows.
func inREADME(t *testing.T) (all [][]byte) {
	t.Helper()
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(t, examples+"/README.md"), -1) {
		all = append(all, documents(block[1])...)
	}
	if len(all) == 0 {
		t.Fatal("the README shows no object")
	}
	return all
}

// svidhelper builds the program, and returns its path.
func svidhelper(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "svidhelper")
	build := exec.Command("go", "build", "-tags", "grpcnotrace,nethttpomithttp2", "-o", path, "./cmd/svidhelper")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building svidhelper: %v\n%s", err, out)
	}
	return path
}

// TestREADME: the README names every file, and no other.
func TestREADME(t *testing.T) {
	readme := read(t, examples+"/README.md")
	all, err := filepath.Glob(examples + "/*.yaml")
	must(t, err)
	for _, name := range all {
		if !strings.Contains(readme, "("+filepath.Base(name)+")") {
			t.Errorf("the README has no link to %s", filepath.Base(name))
		}
	}
	for _, name := range regexp.MustCompile(`[a-z-]+\.yaml`).FindAllString(readme, -1) {
		if _, err := os.Stat(filepath.Join(examples, name)); err != nil {
			t.Error(err)
		}
	}
}
