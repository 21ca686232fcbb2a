package podnet

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"bonsai/bootstrap/atomicfile"
)

// leaseDir is where host-local stores which pod has which address. It is on a tmpfs: after a restart of the container
// no sandbox exists any more, and its lease must not exist either.
const leaseDir = "/run/bonsai/cni"

// cniConfig is the network as the CNI plugins read it.
func cniConfig(podCIDR netip.Prefix, mtu int) map[string]any {
	return map[string]any{
		"cniVersion": "1.0.0",
		"name":       "bonsai",
		"plugins": []any{
			map[string]any{
				// A veth pair per pod with a host route; no bridge, which would answer for pods of other nodes.
				"type": "ptp",
				// Masquerading is done by this package, which knows what is inside the cluster.
				"ipMasq": false,
				// The MTU of the nodes' network; otherwise large packets vanish on engines that use less than 1500.
				"mtu": mtu,
				"ipam": map[string]any{
					"type":    "host-local",
					"dataDir": leaseDir,
					"ranges":  []any{[]any{map[string]string{"subnet": podCIDR.String()}}},
					"routes":  []any{map[string]string{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{
				"type":         "portmap", // hostPort
				"capabilities": map[string]bool{"portMappings": true},
				// The payload has no iptables.
				"backend": "nftables",
			},
		},
	}
}

// writeCNIConfig replaces the file atomically: containerd watches the folder and reads it at once.
func writeCNIConfig(path string, podCIDR netip.Prefix, mtu int) error {
	data, err := json.MarshalIndent(cniConfig(podCIDR, mtu), "", "  ")
	if err != nil {
		return fmt.Errorf("encode CNI configuration: %w", err)
	}
	// The plugins read every file that ends in .conf, .conflist or .json, as the temporary file does not.
	if err := atomicfile.Write(path, append(data, '\n'), 0o644, atomicfile.Options{}); err != nil {
		return fmt.Errorf("write CNI configuration: %w", err)
	}
	return nil
}
