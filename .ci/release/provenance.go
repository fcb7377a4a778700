package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	predicate "github.com/in-toto/attestation/go/predicates/provenance/v1"
	statement "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// provenance writes what every file was made from and how, as an in-toto statement
// with a predicate of SLSA (v1). The signer of the release vouches for it.
func (r *release) provenance(builds []*build) error {
	files, err := os.ReadDir(r.dist)
	if err != nil {
		return err
	}
	var subjects []*statement.ResourceDescriptor
	for _, f := range files {
		sum, err := digest(filepath.Join(r.dist, f.Name()))
		if err != nil {
			return err
		}
		subjects = append(subjects, &statement.ResourceDescriptor{Name: f.Name(), Digest: map[string]string{"sha256": sum}})
	}
	how, err := r.how(builds)
	if err != nil {
		return err
	}
	s := &statement.Statement{Type: statement.StatementTypeUri, Subject: subjects, PredicateType: "https://slsa.dev/provenance/v1", Predicate: how}
	if err := s.Validate(); err != nil {
		return err
	}
	text, err := protojson.Marshal(s)
	if err != nil {
		return err
	}
	var stable bytes.Buffer // protojson puts blanks where it likes
	if err := json.Compact(&stable, text); err != nil {
		return err
	}
	stable.WriteByte('\n')
	return os.WriteFile(filepath.Join(r.dist, "svidhelper_"+r.version+".intoto.jsonl"), stable.Bytes(), 0o644)
}

// how returns the predicate.
func (r *release) how(builds []*build) (*structpb.Struct, error) {
	var names []any
	for _, b := range builds {
		names = append(names, b.os+"/"+b.arch)
	}
	given, err := structpb.NewStruct(map[string]any{"version": r.version, "tags": r.tags, "ldflags": r.ldflags, "platforms": names})
	if err != nil {
		return nil, err
	}
	p := &predicate.Provenance{
		BuildDefinition: &predicate.BuildDefinition{
			BuildType: r.repo + "/make-release/v1", ExternalParameters: given,
			ResolvedDependencies: []*statement.ResourceDescriptor{
				{Uri: fmt.Sprintf("git+%s@%s", r.repo, r.commit), Digest: map[string]string{"gitCommit": r.commit}},
				{Uri: "pkg:generic/go@" + builds[0].info.GoVersion[len("go"):], Name: "go"},
			},
		},
		RunDetails: &predicate.RunDetails{Builder: &predicate.Builder{Id: r.repo + "/make-release"}},
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(p)
	if err != nil {
		return nil, err
	}
	s := new(structpb.Struct)
	return s, protojson.Unmarshal(text, s)
}

// checksums writes SHA256SUMS, as sha256sum -c reads it.
func (r *release) checksums() error {
	files, err := os.ReadDir(r.dist)
	if err != nil {
		return err
	}
	var all bytes.Buffer
	for _, f := range files {
		sum, err := digest(filepath.Join(r.dist, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&all, "%s  %s\n", sum, f.Name())
	}
	return os.WriteFile(filepath.Join(r.dist, "SHA256SUMS"), all.Bytes(), 0o644)
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
