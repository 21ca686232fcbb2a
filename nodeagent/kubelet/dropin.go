package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	configv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	conversion "k8s.io/kubernetes/pkg/kubelet/apis/config/v1beta1"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
)

// dropInSuffix is that of the files which upstream's --config-dir reads; others in the folder are ignored.
const dropInSuffix = ".conf"

// applyDropIns merges the user's settings of the cluster, and then the files in dir, into kc as upstream's --config-dir does:
// in lexical order, the last one wins. Upstream has it in its command only, which reads its other settings from a file and flags. An invalid file is an
// error, as upstream: a setting that silently does nothing is worse than a kubelet that says what is wrong.
func applyDropIns(kc *kubeletconfig.KubeletConfiguration, settings, dir string) error {
	files, err := dropIns(dir)
	if err != nil || len(files) == 0 && settings == "" {
		return err
	}
	versioned := &configv1beta1.KubeletConfiguration{}
	if err := conversion.Convert_config_KubeletConfiguration_To_v1beta1_KubeletConfiguration(kc, versioned, nil); err != nil {
		return fmt.Errorf("convert configuration: %w", err)
	}
	merged, err := json.Marshal(versioned)
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	if settings != "" {
		if merged, err = mergeSettings(merged, settings); err != nil {
			return fmt.Errorf("read the cluster's settings of kubelets: %w", err)
		}
	}
	for _, name := range files {
		if merged, err = mergeDropIn(merged, name); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	versioned = &configv1beta1.KubeletConfiguration{}
	if err := json.Unmarshal(merged, versioned); err != nil {
		return fmt.Errorf("decode the configuration with the files of %s: %w", dir, err)
	}
	// First, because the defaults depend on them and panic about one that does not exist.
	// A copy is asked before: the process's own keeps what it has refused.
	gates := utilfeature.DefaultMutableFeatureGate
	if err := gates.DeepCopy().SetFromMap(versioned.FeatureGates); err != nil {
		return fmt.Errorf("set the feature gates of %s: %w", dir, err)
	}
	if err := gates.SetFromMap(versioned.FeatureGates); err != nil {
		return fmt.Errorf("set the feature gates of %s: %w", dir, err)
	}
	conversion.SetDefaults_KubeletConfiguration(versioned)
	if err := conversion.Convert_v1beta1_KubeletConfiguration_To_config_KubeletConfiguration(versioned, kc, nil); err != nil {
		return fmt.Errorf("convert the configuration with the files of %s: %w", dir, err)
	}
	return nil
}

// dropIns are the files of dir in the order in which they apply, those of subfolders too. A missing folder has none.
func dropIns(dir string) (files []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == dropInSuffix {
			files = append(files, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// mergeSettings merges a part of a KubeletConfiguration, which need not say that it is one.
func mergeSettings(config []byte, text string) ([]byte, error) {
	patch, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return nil, err
	}
	want := configv1beta1.SchemeGroupVersion.WithKind("KubeletConfiguration")
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(patch, &head); err != nil {
		return nil, err
	}
	if head.APIVersion != "" && head.APIVersion != want.GroupVersion().String() || head.Kind != "" && head.Kind != want.Kind {
		return nil, fmt.Errorf("it is a %s of %s, not a %s of %s", head.Kind, head.APIVersion, want.Kind, want.GroupVersion())
	}
	if err := yaml.UnmarshalStrict(patch, &configv1beta1.KubeletConfiguration{}); err != nil {
		return nil, err
	}
	return jsonpatch.MergePatch(config, patch)
}

// CheckSettings returns why nodes of a cluster cannot have these settings, a part of a KubeletConfiguration; nil if they can.
func CheckSettings(text string) error {
	cfg := Config{Node: cluster.NodeConfig{Kubelet: text, Node: cluster.Node{Name: "node", IP: netip.MustParseAddr("10.201.0.10")}}, DropInDir: os.DevNull}
	cfg.Node.DNSServiceIP = netip.MustParseAddr("10.96.0.10")
	server, err := newServer(cfg)
	if err != nil {
		return err
	}
	return options.ValidateKubeletServer(server)
}

func mergeDropIn(config []byte, name string) ([]byte, error) {
	if info, err := os.Stat(name); err == nil && info.Size() == 0 {
		return config, nil // just being written, or emptied to disable it
	}
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, name)
	if err != nil {
		return nil, err
	}
	patch, kind, err := loader.LoadIntoJSON()
	if err != nil {
		return nil, err
	}
	if want := configv1beta1.SchemeGroupVersion.WithKind("KubeletConfiguration"); kind == nil || *kind != want {
		return nil, fmt.Errorf("it has to begin with apiVersion: %s and kind: %s", want.GroupVersion(), want.Kind)
	}
	// Stricter than upstream, which ignores a setting that does not exist.
	if err := yaml.UnmarshalStrict(patch, &configv1beta1.KubeletConfiguration{}); err != nil {
		return nil, err
	}
	return jsonpatch.MergePatch(config, patch)
}
