package config_test

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
)

var update = flag.Bool("update", false, "write the golden files")

func testConfig() config.Config {
	spec := cluster.Spec{Name: "dev", APIPort: 6443, Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	spec.Replan()
	return config.Config{Spec: spec, PKIDir: "/state/pki", EtcdDir: "/state/etcd", RunDir: "/state/run"}
}

func TestFlagsAreAsReviewed(t *testing.T) {
	emulating := testConfig()
	emulating.Emulate = "1.35"
	alone := testConfig()
	alone.Spec.RunComponents([]string{cluster.Etcd, cluster.APIServer})
	for name, flags := range map[string][]string{
		"kube-apiserver-alone":    alone.APIServerFlags(),
		"kube-apiserver":          testConfig().APIServerFlags(),
		"kube-apiserver-emulated": emulating.APIServerFlags(),
		"kube-controller-manager": testConfig().ControllerManagerFlags(),
		"kube-scheduler":          testConfig().SchedulerFlags(),
	} {
		got := strings.Join(flags, "\n") + "\n"
		golden := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot\n%swant\n%s(run with -update if the change is wanted)", name, got, want)
		}
	}
}

func TestSchedulerHasOurPlugins(t *testing.T) {
	type plugins []struct{ Name string }
	var got struct {
		Profiles []struct {
			SchedulerName string
			Plugins       struct {
				MultiPoint                     struct{ Enabled, Disabled plugins }
				PreFilter, PostFilter, Reserve struct{ Enabled plugins }
			}
		}
	}
	if err := json.Unmarshal(testConfig().SchedulerConfiguration(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Profiles) != 1 || got.Profiles[0].SchedulerName != "default-scheduler" {
		t.Fatalf("profiles are %+v, want the default one alone", got.Profiles)
	}
	at := got.Profiles[0].Plugins
	observer := plugins{{config.ObserverPlugin}}
	if want := append(plugins{{config.VolumeBindingPlugin}}, observer...); !reflect.DeepEqual(at.MultiPoint.Enabled, want) {
		t.Errorf("enabled is %v, want %v", at.MultiPoint.Enabled, want)
	}
	if want := (plugins{{"VolumeBinding"}}); !reflect.DeepEqual(at.MultiPoint.Disabled, want) {
		t.Errorf("disabled is %v, want %v: ours is in its place", at.MultiPoint.Disabled, want)
	}
	for point, first := range map[string]plugins{"preFilter": at.PreFilter.Enabled, "postFilter": at.PostFilter.Enabled, "reserve": at.Reserve.Enabled} {
		if !reflect.DeepEqual(first, observer) {
			t.Errorf("%s begins with %v, want the observer", point, first)
		}
	}
}

func TestGeneratedFilesAreJSON(t *testing.T) {
	c := testConfig()
	c.PKIDir = `/with "quotes"/pki`
	authentication, err := c.AuthenticationConfiguration()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"authentication": authentication, "scheduler": c.SchedulerConfiguration(), "kubeconfig": c.Kubeconfig("admin"),
	} {
		if !json.Valid(data) {
			t.Errorf("%s is not JSON:\n%s", name, data)
		}
	}
}
