package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// restricted is a namespace that takes only pods that keep to the strictest of the Pod
// Security Standards; free takes any.
const (
	restricted = "restricted"
	free       = "free"
)

// setUp makes the namespaces.
func (s *server) setUp() error {
	_, err := s.create(free, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+free+"}}"), false)
	if err != nil {
		return err
	}
	_, err = s.create(free, []byte("{apiVersion: v1, kind: Namespace, metadata: {name: "+restricted+
		", labels: {pod-security.kubernetes.io/enforce: restricted}}}"), false)
	return err
}

// An object is one of Kubernetes', decoded.
type object = map[string]any

// A resource is where the objects of a kind are.
type resource struct {
	Name, Kind string
	Namespaced bool
}

// resource finds out where the objects of a kind are.
func (s *server) resource(apiVersion, kind string) (resource, error) {
	if s.known[apiVersion] == nil {
		answer, err := s.ask(http.MethodGet, apiPath(apiVersion), nil)
		if err != nil {
			return resource{}, err
		}
		var list struct{ Resources []resource }
		if err := json.Unmarshal(answer, &list); err != nil {
			return resource{}, err
		}
		s.known[apiVersion] = map[string]resource{}
		for _, r := range list.Resources {
			if !strings.Contains(r.Name, "/") { // a status, for one, has its object's kind
				s.known[apiVersion][r.Kind] = r
			}
		}
	}
	r, ok := s.known[apiVersion][kind]
	if !ok {
		return r, fmt.Errorf("the server has no %s of %s", kind, apiVersion)
	}
	return r, nil
}

func apiPath(apiVersion string) string {
	if strings.Contains(apiVersion, "/") {
		return "/apis/" + apiVersion
	}
	return "/api/" + apiVersion
}

// create creates the object of a text in YAML, as it stands, and returns what comes
// back. A field that the server does not know is an error. A dry run does everything
// but keep it.
func (s *server) create(namespace string, text []byte, dry bool) (object, error) {
	var o struct {
		APIVersion, Kind string
		Metadata         struct{ Name, GenerateName string }
	}
	if err := yaml.Unmarshal(text, &o); err != nil {
		return nil, err
	}
	r, err := s.resource(o.APIVersion, o.Kind)
	if err != nil {
		return nil, err
	}
	path := apiPath(o.APIVersion)
	if r.Namespaced {
		path += "/namespaces/" + namespace
	}
	path += "/" + r.Name + "?fieldValidation=Strict"
	if dry {
		path += "&dryRun=All"
	}
	answer, err := s.ask(http.MethodPost, path, text)
	if err != nil {
		return nil, fmt.Errorf("%s %s%s: %w", o.Kind, o.Metadata.Name, o.Metadata.GenerateName, err)
	}
	var created object
	return created, json.Unmarshal(answer, &created)
}

// ask makes a request. What the server says against it is the error.
func (s *server) ask(method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/yaml")
	req.Header.Set("Accept", "application/json")
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if warning := answer.Header.Get("Warning"); warning != "" {
		return nil, errors.New("warning: " + warning)
	}
	if answer.StatusCode/100 != 2 {
		var status struct{ Message string }
		if err := json.Unmarshal(said, &status); err != nil || status.Message == "" {
			return nil, fmt.Errorf("%s: %s", answer.Status, said)
		}
		return nil, errors.New(status.Message)
	}
	return said, nil
}

// documents are the texts of a YAML file, one an object.
func documents(text string) [][]byte {
	var all [][]byte
	for _, d := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(d) != "" {
			all = append(all, []byte(d))
		}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
