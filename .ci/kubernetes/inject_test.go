package kubernetes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// install creates the chart's objects, and waits until the server follows them, which
// it does a moment later.
func install(t *testing.T) {
	t.Helper()
	for _, d := range objects(t, object{"image": image}) {
		_, err := cluster.create(free, d, false)
		must(t, err)
	}
	await(t, func() error {
		pod, err := cluster.create(free, pod(`{svidhelper.github.io/config-map: web}`, ""), true)
		if err == nil && pod["spec"].(object)["initContainers"] == nil {
			err = errors.New("a pod that asks gets nothing")
		}
		return err
	})
	await(t, func() error {
		if _, err := cluster.create(free, pod(`{svidhelper.github.io/unknown: web}`, ""), true); err == nil {
			return errors.New("a misspelt annotation is accepted")
		}
		return nil
	})
}

// await waits until there is no error any more.
func await(t *testing.T, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// pod is a pod with annotations, and something more in its spec.
func pod(annotations, spec string) []byte {
	return fmt.Appendf(nil, "{apiVersion: v1, kind: Pod, metadata: {name: web, annotations: %s}, spec: {%s containers: [{name: web, image: web}]}}", annotations, spec)
}

// TestInjection: what comes back of a pod is in its golden file, and if that is handed
// in, it comes back as it is.
func TestInjection(t *testing.T) {
	install(t)
	names, err := filepath.Glob("testdata/*.yaml")
	must(t, err)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			created, err := cluster.create(free, []byte(read(t, name)), true)
			must(t, err)
			got := plain(t, created)
			golden := strings.TrimSuffix(name, ".yaml") + ".golden"
			if *update {
				must(t, os.WriteFile(golden, got, 0o644))
			}
			if diff := cmp.Diff(read(t, golden), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update writes it anew):\n%s", golden, diff)
			}
			again, err := cluster.create(free, got, true)
			must(t, err)
			if diff := cmp.Diff(string(got), string(plain(t, again))); diff != "" {
				t.Errorf("a second time (-first +second):\n%s", diff)
			}
		})
	}
	t.Run("restricted", testRestricted)
	t.Run("refused", testRefused)
	t.Run("workloads", testWorkloads)
}

// plain is the object without what differs from one creation to the next.
func plain(t *testing.T, o object) []byte {
	t.Helper()
	metadata := o["metadata"].(object)
	for _, key := range []string{"creationTimestamp", "managedFields", "uid", "resourceVersion"} {
		delete(metadata, key)
	}
	if metadata["generateName"] != nil {
		delete(metadata, "name")
	}
	delete(o, "status")
	text, err := yaml.Marshal(o)
	must(t, err)
	return text
}

// testRestricted: a pod that keeps to the strictest standard does so with svidhelper.
func testRestricted(t *testing.T) {
	created, err := cluster.create(restricted, []byte(read(t, "testdata/plain.yaml")), true)
	must(t, err)
	if created["spec"].(object)["initContainers"] == nil {
		t.Error("the pod has no svidhelper")
	}
}

// The refusals: annotations, something more of the spec, and what the message has to
// say.
var refusals = []struct{ name, annotations, spec, want string }{
	{"both", `{svidhelper.github.io/config: "x", svidhelper.github.io/config-map: web}`, "", `leave one out`},
	{"neither", `{svidhelper.github.io/mode: init}`, "", `add svidhelper.github.io/config or`},
	{"misspelt", `{svidhelper.github.io/configmap: web}`, "", `svidhelper.github.io/configmap: no such annotation`},
	{"mode", `{svidhelper.github.io/config-map: web, svidhelper.github.io/mode: Sidecar}`, "", `"Sidecar" is neither "sidecar" nor "init"`},
	{"empty", `{svidhelper.github.io/config: " "}`, "", `svidhelper.github.io/config is empty`},
	{"no name", `{svidhelper.github.io/config-map: ""}`, "", `"" cannot be the name of a ConfigMap`},
	{"bad name", `{svidhelper.github.io/config-map: A b}`, "", `"A b" cannot be the name of a ConfigMap`},
	{"host network", `{svidhelper.github.io/config-map: web}`, "hostNetwork: true,", `not added to a pod with hostNetwork`},
	{"windows", `{svidhelper.github.io/config-map: web}`, "os: {name: windows},", `not added to a pod for Windows`},
	{"windows node", `{svidhelper.github.io/config-map: web}`, "nodeSelector: {kubernetes.io/os: windows},", `not added to a pod for Windows`},
}

// testRefused: the server says why it does not take a pod, and says the same of a
// Deployment, a Job and a CronJob.
func testRefused(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			texts := [][]byte{pod(r.annotations, r.spec)}
			for _, w := range workloads(r.annotations, r.spec) {
				texts = append(texts, []byte(w))
			}
			for _, text := range texts {
				_, err := cluster.create(free, text, true)
				if err == nil || !strings.Contains(err.Error(), r.want) {
					t.Errorf("want %q, got %v", r.want, err)
				}
			}
		})
	}
}

// testWorkloads: what asks as it should is taken.
func testWorkloads(t *testing.T) {
	for _, w := range workloads(`{svidhelper.github.io/config-map: web}`, "") {
		if _, err := cluster.create(free, []byte(w), true); err != nil {
			t.Error(err)
		}
	}
	for _, d := range inREADME(t) {
		if _, err := cluster.create(free, d, true); err != nil {
			t.Error(err)
		}
	}
	for _, w := range workloads(`{}`, "hostNetwork: true,") {
		if _, err := cluster.create(free, []byte(w), true); err != nil {
			t.Errorf("one that does not ask: %v", err)
		}
	}
}

// workloads are objects that make such pods.
func workloads(annotations, spec string) []string {
	template := fmt.Sprintf("{metadata: {labels: {app: web}, annotations: %s}, spec: {%s restartPolicy: POLICY, containers: [{name: web, image: web}]}}", annotations, spec)
	always, never := strings.Replace(template, "POLICY", "Always", 1), strings.Replace(template, "POLICY", "Never", 1)
	return []string{
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, template: " + always + "}}",
		"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, template: " + always + "}}",
		"{apiVersion: batch/v1, kind: Job, metadata: {name: web}, spec: {template: " + never + "}}",
		"{apiVersion: batch/v1, kind: CronJob, metadata: {name: web}, spec: {schedule: '@hourly', jobTemplate: {spec: {template: " + never + "}}}}",
	}
}
