package consumers

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/hashicorp/hcl/v2/hclparse"
	"howett.net/plist"
)

// TestCompose: Compose's own library takes the file, strictly.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{filepath.Join(examples, "compose/compose.yaml")}, cli.WithName("test"), cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := project.ServiceNames(); !slices.Equal(got, []string{"svidhelper", "web"}) {
		t.Errorf("the services are %q", got)
	}
	web := project.Services["web"]
	if web.Pid != "service:svidhelper" || web.DependsOn["svidhelper"].Condition != "service_healthy" {
		t.Errorf("web shares %q and waits for %q", web.Pid, web.DependsOn["svidhelper"].Condition)
	}
	for name, s := range project.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
			t.Errorf("%s may write or has capabilities", name)
		}
		for _, v := range s.Volumes {
			if v.Type == "bind" && filepath.Dir(v.Source) == filepath.Dir(project.ComposeFiles[0]) {
				if _, err := os.Stat(v.Source); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// TestNomad: the job is HCL. What Nomad itself thinks of it is not shown.
func TestNomad(t *testing.T) {
	if _, diags := hclparse.NewParser().ParseHCLFile(filepath.Join(examples, "nomad/web.nomad.hcl")); diags.HasErrors() {
		t.Error(diags)
	}
}

// TestLaunchd: the property list is one, and has the keys of a daemon.
func TestLaunchd(t *testing.T) {
	f, err := os.Open(filepath.Join(examples, "launchd/io.svidhelper.plist"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var daemon struct {
		Label            string
		ProgramArguments []string
		KeepAlive        map[string]bool
		ExitTimeOut      int
	}
	if err := plist.NewDecoder(f).Decode(&daemon); err != nil {
		t.Fatal(err)
	}
	if daemon.Label != "io.svidhelper" || len(daemon.ProgramArguments) != 4 || daemon.ExitTimeOut < 30 {
		t.Errorf("%+v", daemon)
	}
	if again, found := daemon.KeepAlive["SuccessfulExit"]; !found || again {
		t.Error("a success, too, would start it again")
	}
}
