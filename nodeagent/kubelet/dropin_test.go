package kubelet

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

const dropInHead = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

func withDropIns(t *testing.T, files map[string]string) (*options.KubeletServer, error) {
	t.Helper()
	cfg := testConfig(t)
	for name, text := range files {
		path := filepath.Join(cfg.DropInDir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return newServer(cfg)
}

func TestDropInsChangeWhatTheyNameAndNothingElse(t *testing.T) {
	plain, err := withDropIns(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := withDropIns(t, map[string]string{
		"10-first.conf":     dropInHead + "maxPods: 20\nallowedUnsafeSysctls: [\"net.core.somaxconn\"]\n",
		"20-second.conf":    dropInHead + "maxPods: 30\n",
		"sub/30-third.conf": dropInHead + "containerLogMaxSize: 1Mi\n",
		"00-empty.conf":     "",
		"README":            "not read",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.MaxPods != 30 || !slices.Equal(got.AllowedUnsafeSysctls, []string{"net.core.somaxconn"}) || got.ContainerLogMaxSize != "1Mi" {
		t.Errorf("maxPods %d, allowedUnsafeSysctls %v, containerLogMaxSize %s", got.MaxPods, got.AllowedUnsafeSysctls, got.ContainerLogMaxSize)
	}
	if err := options.ValidateKubeletServer(got); err != nil {
		t.Error(err)
	}
	// What bonsai sets, zeros too, is kept through upstream's defaults.
	got.MaxPods, got.AllowedUnsafeSysctls, got.ContainerLogMaxSize = plain.MaxPods, plain.AllowedUnsafeSysctls, plain.ContainerLogMaxSize
	for name, pair := range map[string][2]any{
		"registryPullQPS":                 {got.RegistryPullQPS, plain.RegistryPullQPS},
		"serializeImagePulls":             {got.SerializeImagePulls, plain.SerializeImagePulls},
		"failSwapOn":                      {got.FailSwapOn, plain.FailSwapOn},
		"failCgroupV1":                    {got.FailCgroupV1, plain.FailCgroupV1},
		"readOnlyPort":                    {got.ReadOnlyPort, plain.ReadOnlyPort},
		"anonymous":                       {got.Authentication.Anonymous.Enabled, plain.Authentication.Anonymous.Enabled},
		"nodefs.available":                {got.EvictionHard["nodefs.available"], plain.EvictionHard["nodefs.available"]},
		"makeIPTablesUtilChains":          {got.MakeIPTablesUtilChains, plain.MakeIPTablesUtilChains},
		"imageGCHighThresholdPercent":     {got.ImageGCHighThresholdPercent, plain.ImageGCHighThresholdPercent},
		"cgroupRoot":                      {got.CgroupRoot, plain.CgroupRoot},
		"containerRuntimeEndpoint":        {got.ContainerRuntimeEndpoint, plain.ContainerRuntimeEndpoint},
		"imagePullCredentialsVerificaton": {got.ImagePullCredentialsVerificationPolicy, plain.ImagePullCredentialsVerificationPolicy},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, without files %v", name, pair[0], pair[1])
		}
	}
}

func TestAnInvalidDropInIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"maxPods: 20\n":                                   "'Kind' is missing",
		dropInHead + "maxPodz: 20\n":                      "maxPodz",
		dropInHead + "maxPods: many\n":                    "maxPods",
		"apiVersion: v1\nkind: Pod\n":                     "KubeletConfiguration",
		dropInHead + "maxPods: [\n":                       "yaml",
		dropInHead + "featureGates: {NoSuchGate: true}\n": "NoSuchGate",
	} {
		_, err := withDropIns(t, map[string]string{"mine.conf": text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error is %v, want %q in it", text, err, want)
			continue
		}
		if !strings.Contains(err.Error(), "mine.conf") && want != "NoSuchGate" {
			t.Errorf("%q: error %q does not name the file", text, err)
		}
	}
}

func TestSettingsOfTheClusterAreThoseOfEachNode(t *testing.T) {
	cfg := testConfig(t)
	cfg.Node.Kubelet = "maxPods: 20\ncontainerLogMaxSize: 1Mi\n"
	got, err := newServer(cfg)
	if err != nil || got.MaxPods != 20 || got.ContainerLogMaxSize != "1Mi" {
		t.Fatalf("%v, maxPods %d", err, got.MaxPods)
	}
	// A node's own file has precedence.
	if err := os.MkdirAll(cfg.DropInDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.DropInDir, "mine.conf"), []byte(dropInHead+"maxPods: 30\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err = newServer(cfg); err != nil || got.MaxPods != 30 || got.ContainerLogMaxSize != "1Mi" {
		t.Errorf("%v, maxPods %d, containerLogMaxSize %s", err, got.MaxPods, got.ContainerLogMaxSize)
	}
}

func TestSettingsAreCheckedBeforeTheyAreUsed(t *testing.T) {
	for text, want := range map[string]string{
		"maxPods: 20\n":                  "",
		dropInHead + "maxPods: 20\n":     "",
		"maxPodz: 20\n":                  "maxPodz",
		"maxPods: -1\n":                  "maxPods",
		"kind: KubeProxyConfiguration\n": "KubeProxyConfiguration",
		"featureGates: {NoSuch: true}\n": "NoSuch",
		"evictionHard: [memory]\n":       "evictionHard",
	} {
		err := CheckSettings(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
