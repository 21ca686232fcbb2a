package kubelet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cadvisorapi "github.com/google/cadvisor/lib/model"
	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	proxyapp "k8s.io/kubernetes/cmd/kube-proxy/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"

	"bonsai/bootstrap/cluster"
	"bonsai/nodeagent/cgroupinfo"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	spec := &cluster.Spec{Name: "c", Subnet: netip.MustParsePrefix("10.201.0.0/22")}
	spec.Nodes = []cluster.Node{spec.PlanNode(1), spec.PlanNode(2)}
	spec.Replan()
	c := Config{
		Node:   spec.NodeConfigFor(spec.Nodes[0], "https://10.201.0.1:6443", 1),
		PKIDir: t.TempDir(), RunDir: filepath.Join(t.TempDir(), "run"), LogDir: t.TempDir(), DropInDir: t.TempDir(),
	}
	c.setDefaults()
	return c
}

func TestKubeletSettingsAreValid(t *testing.T) {
	server, err := newServer(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := options.ValidateKubeletServer(server); err != nil {
		t.Errorf("ValidateKubeletServer() = %v", err)
	}
	if server.Authentication.Anonymous.Enabled || server.ReadOnlyPort != 0 {
		t.Error("the kubelet's API is open to anybody")
	}
}

// /flagz serves the settings, and flags that are bound to settings leave them as they are.
func TestFlagzHasTheSettings(t *testing.T) {
	server, err := newServer(testConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	before, err := json.Marshal(server)
	if err != nil {
		t.Fatal(err)
	}
	served := flagsOf(server).GetFlagz()
	for name, want := range map[string]string{"node-ip": server.NodeIP, "root-dir": rootDir, "cluster-domain": server.ClusterDomain} {
		if served[name] != want {
			t.Errorf("--%s=%s, want %s", name, served[name], want)
		}
	}
	after, err := json.Marshal(server)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("the settings were\n%s\nand are\n%s", before, after)
	}
}

// Upstream decodes the file strictly and falls back to a lenient decoder with a log line only; compare what counts.
func TestProxySettingsAreValid(t *testing.T) {
	cfg := testConfig(t)
	data, err := json.Marshal(proxyConfig(cfg))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	o := proxyapp.NewOptions()
	o.ConfigFile = path
	if err := o.Complete(pflag.NewFlagSet("", pflag.ContinueOnError)); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Errorf("Validate() = %v", err)
	}
}

func TestKubeconfigsArePrivateAndUsable(t *testing.T) {
	cfg := testConfig(t)
	if err := writeKubeconfigs(cfg); err != nil {
		t.Fatal(err)
	}
	for component, cert := range map[string]string{kubeletName: "kubelet-client.crt", kubeProxyName: "kube-proxy.crt"} {
		path := cfg.kubeconfigPath(component)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != fs.FileMode(0o600) {
			t.Errorf("%s has mode %v, want 0600", path, info.Mode())
		}
		kc, err := clientcmd.LoadFromFile(path)
		if err != nil {
			t.Fatal(err)
		}
		user := kc.AuthInfos[kc.Contexts[kc.CurrentContext].AuthInfo]
		server := kc.Clusters[kc.Contexts[kc.CurrentContext].Cluster].Server
		if server != cfg.Node.APIServer || user.ClientCertificate != filepath.Join(cfg.PKIDir, cert) {
			t.Errorf("%s: server %s, certificate %s; want %s, %s", component, server, user.ClientCertificate, cfg.Node.APIServer, cert)
		}
	}
}

type fakeMachine struct {
	cadvisor.Interface
	info cadvisorapi.MachineInfo
}

func (f *fakeMachine) MachineInfo(klog.Logger) (*cadvisorapi.MachineInfo, error) { return &f.info, nil }

func TestMachineReportsTheContainersLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		limits cgroupinfo.Limits
		cores  int
		memory uint64
	}{
		"none":               {cgroupinfo.Limits{}, 16, 64 << 30},
		"both":               {cgroupinfo.Limits{CPUs: 2, MemoryBytes: 4 << 30}, 2, 4 << 30},
		"fraction":           {cgroupinfo.Limits{CPUs: 2.9}, 2, 64 << 30},
		"less than one":      {cgroupinfo.Limits{CPUs: 0.3}, 1, 64 << 30},
		"more than there is": {cgroupinfo.Limits{CPUs: 64, MemoryBytes: 1 << 40}, 16, 64 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			upstream := &fakeMachine{info: cadvisorapi.MachineInfo{NumCores: 16, MemoryCapacity: 64 << 30}}
			m := &machine{upstream, tc.limits, ""}
			got, err := m.MachineInfo(klog.Background())
			if err != nil {
				t.Fatal(err)
			}
			if got.NumCores != tc.cores || got.MemoryCapacity != tc.memory {
				t.Errorf("got %d cores, %d bytes; want %d, %d", got.NumCores, got.MemoryCapacity, tc.cores, tc.memory)
			}
			if upstream.info.NumCores != 16 {
				t.Error("cAdvisor's own value was changed")
			}
		})
	}
}

func TestMachineReportsTheNodesOwnUUID(t *testing.T) {
	upstream := &fakeMachine{info: cadvisorapi.MachineInfo{SystemUUID: "of the machine"}}
	for own, want := range map[string]string{"of the node": "of the node", "": "of the machine"} {
		m := &machine{upstream, cgroupinfo.Limits{}, own}
		got, err := m.MachineInfo(klog.Background())
		if err != nil || got.SystemUUID != want {
			t.Errorf("with own UUID %q: %q (%v), want %q", own, got.SystemUUID, err, want)
		}
	}
}

func TestPollReportsTheLastCause(t *testing.T) {
	cause := errors.New("connection refused")
	err := poll(context.Background(), "containerd", 50*time.Millisecond, func(context.Context) error { return cause })
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "containerd") {
		t.Errorf("poll() = %v, want the cause and what was waited for", err)
	}
	if err := poll(context.Background(), "it", time.Second, func(context.Context) error { return nil }); err != nil {
		t.Errorf("poll() = %v, want nil", err)
	}
}

// A new node waits for its images until it hears that they are there, and not forever: whoever brings them may have been killed.
func TestTheKubeletWaitsForImages(t *testing.T) {
	dir := t.TempDir()
	config, arrived, givenUp := filepath.Join(dir, "node.json"), filepath.Join(dir, "arrived"), filepath.Join(dir, "without-images")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log strings.Builder
	wait := func(limit time.Duration, want string) {
		t.Helper()
		log.Reset()
		waitForImages(t.Context(), config, arrived, givenUp, limit, slog.New(slog.NewTextHandler(&log, nil)))
		if want == "" && log.Len() > 0 || !strings.Contains(log.String(), want) {
			t.Errorf("it said %q, want %q", log.String(), want)
		}
	}
	write(`{"awaitImages": `) // just being replaced
	done := make(chan struct{})
	go func() { defer close(done); wait(time.Minute, "the images are there") }()
	write(`{"awaitImages": true}`)
	write(`{}`)
	<-done
	write(`{"awaitImages": true}`)
	if err := os.WriteFile(arrived, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wait(time.Minute, "the images are there")
	if err := os.Remove(arrived); err != nil {
		t.Fatal(err)
	}
	wait(20*time.Millisecond, "without all images")
	wait(time.Hour, "") // it has waited once
}

func TestRunWithoutContainerdSaysSo(t *testing.T) {
	if _, err := os.Stat(containerdSocket); err == nil {
		t.Skip("this machine runs a containerd of its own")
	}
	err := waitForRuntime(context.Background(), 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), containerdSocket) {
		t.Errorf("waitForRuntime() = %v, want an error that names the socket", err)
	}
}
