package kubelet

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// kubeconfigPath is the path of a component's kubeconfig.
func (c *Config) kubeconfigPath(component string) string {
	return filepath.Join(c.RunDir, component+".kubeconfig")
}

// writeKubeconfigs writes a kubeconfig for each component; they name the certificate files, so that no key is
// copied.
func writeKubeconfigs(cfg Config) error {
	if err := os.MkdirAll(cfg.RunDir, 0o700); err != nil {
		return fmt.Errorf("write kubeconfigs: %w", err)
	}
	// The kubelet is system:node:NAME, which the Node authorizer restricts to its own node's objects; kube-proxy has an
	// identity of its own with fewer rights.
	for component, cert := range map[string]string{kubeletName: "kubelet-client", kubeProxyName: "kube-proxy"} {
		kubeconfig := clientcmdapi.Config{
			Clusters: map[string]*clientcmdapi.Cluster{cfg.Node.Cluster: {
				Server:               cfg.Node.APIServer,
				CertificateAuthority: filepath.Join(cfg.PKIDir, "ca.crt"),
			}},
			AuthInfos: map[string]*clientcmdapi.AuthInfo{component: {
				ClientCertificate: filepath.Join(cfg.PKIDir, cert+".crt"),
				ClientKey:         filepath.Join(cfg.PKIDir, cert+".key"),
			}},
			Contexts: map[string]*clientcmdapi.Context{component: {
				Cluster: cfg.Node.Cluster, AuthInfo: component,
			}},
			CurrentContext: component,
		}
		// WriteToFile uses mode 0600.
		if err := clientcmd.WriteToFile(kubeconfig, cfg.kubeconfigPath(component)); err != nil {
			return fmt.Errorf("write kubeconfig of %s: %w", component, err)
		}
	}
	return nil
}
