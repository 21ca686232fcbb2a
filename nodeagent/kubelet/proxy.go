package kubelet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	componentbaseconfigv1alpha1 "k8s.io/component-base/config/v1alpha1"
	"k8s.io/klog/v2"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
	"k8s.io/kubernetes/pkg/features"
)

// beLiberal is the kernel setting that kube-proxy changes for TCPBeLiberal.
const beLiberal = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"

// proxyConfig returns kube-proxy's complete settings; everything not set here has upstream's default.
func proxyConfig(cfg Config) *proxyconfig.KubeProxyConfiguration {
	var none metav1.Duration
	var noLimit int32
	pc := &proxyconfig.KubeProxyConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: proxyconfig.SchemeGroupVersion.String(), Kind: "KubeProxyConfiguration"},
		ClientConnection: componentbaseconfigv1alpha1.ClientConnectionConfiguration{
			Kubeconfig: cfg.kubeconfigPath(kubeProxyName),
			// It lists a few kinds and watches them; upstream's limit (5 per second) only delays the start.
			QPS: 100, Burst: 200,
		},
		// The planned name, as for the kubelet.
		HostnameOverride: cfg.Node.Node.Name,
		// Inside the container only: the agent checks health; nothing outside needs either.
		HealthzBindAddress: "127.0.0.1:10256",
		MetricsBindAddress: "127.0.0.1:10249",
		// The node image has no iptables; nftables is also what upstream is moving to.
		Mode: "nftables",
		NFTables: proxyconfig.KubeProxyNFTablesConfiguration{
			// A new Service works after this time; upstream's second is meant for thousands of Services.
			MinSyncPeriod: metav1.Duration{Duration: 100 * time.Millisecond},
		},
		// Traffic to Services from outside the pods' range is masqueraded, so that replies find their way back.
		DetectLocalMode: "ClusterCIDR",
		ClusterCIDR:     cfg.Node.PodCIDR.String(),
		// NodePorts on the node's own address, not on those of other interfaces (bridges to pods); and on the loopback
		// interface, where containerd pulls from a registry in the cluster that is called localhost:NODEPORT, without TLS.
		NodePortAddresses: []string{"primary", "localhost"},
		// In this mode kube-proxy serves the loopback interface, TCP only, behind an alpha gate (KEP-6032).
		FeatureGates: map[string]bool{string(features.KubeProxyNFTablesLocalhostNodePorts): true},
	}
	maps.Copy(pc.FeatureGates, cfg.Node.FeatureGates)
	// Sizes and timeouts of connection tracking belong to the machine and not to a node: leave them alone.
	pc.Conntrack.MaxPerCore = &noLimit
	pc.Conntrack.TCPEstablishedTimeout = &none
	pc.Conntrack.TCPCloseWaitTimeout = &none
	// Packets that connection tracking considers out of order must not bypass the address translation and break long
	// connections. The setting is per network namespace, so it does not affect the host; where the engine made it
	// read-only, kube-proxy would refuse to run.
	if f, err := os.OpenFile(beLiberal, os.O_WRONLY, 0); err == nil {
		pc.Conntrack.TCPBeLiberal = true
		_ = f.Close()
	}
	return pc
}

// runProxy returns when kube-proxy has ended or could not start; ctx alone does not end it. settle is called when the
// node is Ready, or when it does not become so in a reasonable time.
func runProxy(ctx context.Context, cfg Config, settle func()) error {
	data, err := json.MarshalIndent(proxyConfig(cfg), "", "  ")
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	path := filepath.Join(cfg.RunDir, "kube-proxy.config")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	o := app.NewOptions()
	o.ConfigFile = path
	// The flags would override the file; there are none.
	if err := o.Complete(pflag.NewFlagSet(kubeProxyName, pflag.ContinueOnError)); err != nil {
		return fmt.Errorf("complete configuration: %w", err)
	}
	if err := o.Validate(); err != nil {
		return fmt.Errorf("validate configuration: %w", err)
	}
	utilfeature.DefaultMutableFeatureGate.AddMetrics() // as its command does

	client, err := proxyClient(cfg)
	if err != nil {
		return err
	}
	node := func(ctx context.Context) (*v1.Node, error) {
		return client.CoreV1().Nodes().Get(ctx, cfg.Node.Node.Name, metav1.GetOptions{})
	}
	// kube-proxy looks for its Node's address once a second, and pauses a full second if it is not there at once.
	// Waiting here, with short pauses, avoids that; if it fails, kube-proxy reports it better.
	err = poll(ctx, "an address of Node "+cfg.Node.Node.Name, cfg.Node.WaitScale.Of(30*time.Second), func(ctx context.Context) error {
		n, err := node(ctx)
		if err == nil && len(n.Status.Addresses) == 0 {
			err = errors.New("it has none")
		}
		return err
	})
	if err != nil {
		klog.FromContext(ctx).Error(err, "Starting anyway")
	}
	go func() {
		defer settle()
		_ = poll(ctx, "Ready", cfg.Node.WaitScale.Of(time.Minute), func(ctx context.Context) error {
			n, err := node(ctx)
			if err != nil || ready(n) {
				return err
			}
			return errors.New("not Ready")
		})
	}()
	return o.Run(ctx)
}

func proxyClient(cfg Config) (kubernetes.Interface, error) {
	rc, err := clientcmd.BuildConfigFromFlags("", cfg.kubeconfigPath(kubeProxyName))
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return kubernetes.NewForConfig(rc)
}

func ready(n *v1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == v1.NodeReady {
			return c.Status == v1.ConditionTrue
		}
	}
	return false
}
