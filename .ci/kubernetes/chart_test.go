package kubernetes

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

const image = "svidhelper:1.2.3"

// render is what `helm template` prints of the chart, one text a file.
func render(values object) (map[string]string, error) {
	chart, err := loader.LoadDir(examples + "/chart")
	if err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "svidhelper", Namespace: "svidhelper", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

// objects are the objects of the chart.
func objects(t *testing.T, values object) (all [][]byte) {
	t.Helper()
	files, err := render(values)
	must(t, err)
	for _, text := range files {
		all = append(all, documents(text)...)
	}
	if len(all) != 4 {
		t.Errorf("the chart has %d objects", len(all))
	}
	return all
}

func TestChartLints(t *testing.T) {
	for _, m := range lint.RunAll(examples+"/chart", object{"image": image}, "svidhelper").Messages {
		if !strings.Contains(m.Error(), "icon is recommended") {
			t.Error(m)
		}
	}
}

// TestChartRefuses: values that are missing, wrong or misspelt are errors of Helm's.
func TestChartRefuses(t *testing.T) {
	for want, values := range map[string]object{
		"where is svidhelper's image": {},
		"imgae":                       {"image": image, "imgae": image},
		"/directory":                  {"image": image, "directory": "certs"},
		"/socket":                     {"image": image, "socket": "a/b.sock"},
	} {
		if _, err := render(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want an error with %q, got %v", values, want, err)
		}
	}
}

// TestChartValues: the API server takes the chart with other values than its own.
func TestChartValues(t *testing.T) {
	values := object{"image": image, "directory": "/etc/tls", "socket": "agent's.sock", "resources": object{},
		"namespaceSelector": object{"matchLabels": object{"spiffe": "true"}}}
	files, err := render(values)
	must(t, err)
	text := strings.Join(slices.Collect(maps.Values(files)), "\n---\n")
	for _, want := range []string{"/etc/tls", "unix:///spiffe-workload-api/agent's.sock", `{"matchLabels":{"spiffe":"true"}}`} {
		if !strings.Contains(text, want) {
			t.Errorf("the objects do not say %s", want)
		}
	}
	for _, d := range objects(t, values) {
		if _, err := cluster.create(free, d, true); err != nil {
			t.Error(err)
		}
	}
}
