package kubeadm

import (
	"bytes"
	"fmt"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

const (
	// nodeName is the name of the machine in the configuration. No kubelet has it.
	nodeName = "kubeadm"
	// advertised is the address of the Service default/kubernetes, which may not be one of the loopback interface. It is
	// from a range that is reserved for documentation; nothing listens there, and nothing of a plane connects to it.
	advertised = "192.0.2.1"
	loopback   = "127.0.0.1"
)

// ports are those of a plane, all on the loopback interface.
type ports struct {
	api, controllerManager, scheduler, etcdClient, etcdPeer, etcdMetrics int
}

// document is a piece of kubeadm's configuration file.
type document map[string]any

// arg is a flag in it.
type arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// config is the configuration file of kubeadm. Everything that it does not say has kubeadm's default. What it says is
// where a plane has to differ from one that the kubelet runs as root, on a machine of its own.
func config(o Options, p ports) ([]byte, error) {
	url := func(scheme string, port int) string { return fmt.Sprintf("%s://%s:%d", scheme, loopback, port) }
	in := func(name string) string { return filepath.Join(o.Dir, name) }
	// The usual path is below /etc/kubernetes.
	credentials := func(file string, port int) []arg {
		return append(emulation(o), arg{"secure-port", fmt.Sprint(port)},
			arg{"kubeconfig", in(file)}, arg{"authentication-kubeconfig", in(file)}, arg{"authorization-kubeconfig", in(file)})
	}
	documents := []document{{
		"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "InitConfiguration",
		"nodeRegistration": document{
			"name":      nodeName,
			"criSocket": "unix:///run/containerd/containerd.sock", // or kubeadm would look for one
		},
		"localAPIEndpoint": document{"advertiseAddress": advertised, "bindPort": p.api},
	}, {
		"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": "ClusterConfiguration",
		"kubernetesVersion": o.Version, // or kubeadm would ask the internet for the newest
		"certificatesDir":   in("pki"),
		// Not a default, but a cluster without one has no working pods.
		"networking": document{"podSubnet": "10.244.0.0/16"},
		"apiServer": document{
			"certSANs":  []string{loopback},
			"extraArgs": append(emulation(o), arg{"bind-address", loopback}),
		},
		"controllerManager": document{"extraArgs": credentials(controllerManagerConf, p.controllerManager)},
		"scheduler":         document{"extraArgs": credentials(schedulerConf, p.scheduler)},
		"etcd": document{"local": document{
			"dataDir": in("etcd"),
			"extraArgs": []arg{
				{"listen-client-urls", url("https", p.etcdClient)},
				{"advertise-client-urls", url("https", p.etcdClient)}, // kubeadm makes the API server use it
				{"listen-peer-urls", url("https", p.etcdPeer)},
				{"initial-advertise-peer-urls", url("https", p.etcdPeer)},
				{"initial-cluster", nodeName + "=" + url("https", p.etcdPeer)},
				{"listen-metrics-urls", url("http", p.etcdMetrics)},
			},
		}},
	}}
	var file bytes.Buffer
	for _, d := range documents {
		data, err := yaml.Marshal(d)
		if err != nil {
			return nil, fmt.Errorf("encode kubeadm's configuration: %w", err)
		}
		file.WriteString("---\n")
		file.Write(data)
	}
	return file.Bytes(), nil
}

// emulation is what makes a component emulate an older minor version.
func emulation(o Options) []arg {
	if o.Emulate == "" {
		return nil
	}
	return []arg{{"emulated-version", "kube=" + o.Emulate}}
}
