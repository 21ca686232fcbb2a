package kubeadm

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestConfigStaysOnLoopback: the only address that is not one of this machine's loopback interface, the pods' range aside,
// is the one that is advertised.
func TestConfigStaysOnLoopback(t *testing.T) {
	file, err := config(Options{Dir: "/dir", Version: "v1.37.2"}, ports{1, 2, 3, 4, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range regexp.MustCompile(`\d+\.\d+\.\d+\.\d+(/\d+)?`).FindAllString(string(file), -1) {
		if !slices.Contains([]string{loopback, advertised, "10.244.0.0/16"}, address) {
			t.Errorf("address %s in\n%s", address, file)
		}
	}
	if strings.Contains(string(file), "emulated-version") {
		t.Errorf("something is emulated:\n%s", file)
	}
}

// TestConfigEmulates: each of the three components, and etcd, which has no such flag, does not.
func TestConfigEmulates(t *testing.T) {
	file, err := config(Options{Dir: "/dir", Version: "v1.37.2", Emulate: "1.35"}, ports{1, 2, 3, 4, 5, 6})
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(string(file), "---\n")
	type component struct{ ExtraArgs []arg }
	var cluster struct {
		APIServer, ControllerManager, Scheduler component
		Etcd                                    struct{ Local component }
	}
	if err := yaml.Unmarshal([]byte(documents[len(documents)-1]), &cluster); err != nil {
		t.Fatal(err)
	}
	want := arg{"emulated-version", "kube=1.35"}
	for name, c := range map[string]component{
		"kube-apiserver": cluster.APIServer, "kube-controller-manager": cluster.ControllerManager, "kube-scheduler": cluster.Scheduler,
	} {
		if !slices.Contains(c.ExtraArgs, want) {
			t.Errorf("%s has %v", name, c.ExtraArgs)
		}
	}
	if args := cluster.Etcd.Local.ExtraArgs; len(args) == 0 || slices.Contains(args, want) {
		t.Errorf("etcd has %v", args)
	}
}

func TestCommand(t *testing.T) {
	for manifest, want := range map[string][]string{
		"spec: {containers: [{command: [etcd, --a=b]}]}":                {"etcd", "--a=b"},
		"spec: {containers: [{command: [etcd]}, {command: [sidecar]}]}": nil,
		"spec: {}": nil,
	} {
		path := filepath.Join(t.TempDir(), "etcd.yaml")
		if err := os.WriteFile(path, []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := command(path)
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %q, %v", manifest, got, err)
		}
	}
}

// TestWaitHealthySaysWhyAProcessEnded: with what it printed last.
func TestWaitHealthySaysWhyAProcessEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, err := start(ctx, "etcd", "/bin/sh", []string{"-c", "echo no room on the disk; exit 3"}, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	err = p.waitHealthy(ctx, healthClient(), "http://127.0.0.1:1/readyz")
	if err == nil || !strings.Contains(err.Error(), "no room on the disk") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("the error is %v", err)
	}
}
