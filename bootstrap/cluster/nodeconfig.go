package cluster

import (
	"net/netip"

	"bonsai/bootstrap/wait"
)

// Paths inside every node container. The driver writes the files under NodeConfigDir before it starts the container;
// the agent reads them at each boot.
const (
	// PayloadDir is where the payload volume is mounted, read-only.
	PayloadDir = "/opt/bonsai"
	// NodeConfigDir holds NodeConfigFile and pki/.
	NodeConfigDir  = "/etc/bonsai"
	NodeConfigFile = NodeConfigDir + "/node.json"
	// NodeMachineDir holds files of this machine that the agent puts into the node's /etc: localtime and timezone. They are
	// not written there, because an engine cannot replace a link into a read-only volume in a running container.
	NodeMachineDir = NodeConfigDir + "/machine"
	// NodeTrustDir has ca-certificates.crt: the authorities that nodes trust, for pods that mount the folder.
	NodeTrustDir = NodeConfigDir + "/trust"
	// NodePKIDir holds ca.crt and, as NAME.crt and NAME.key: kubelet (serving), kubelet-client,
	// kube-proxy (client) and agent (serving and client).
	NodePKIDir = NodeConfigDir + "/pki"
	// NodeIncoming, "-" and an ID is where the data of claims waits to replace that in the node, a folder for each volume. It
	// is on the node's /var volume.
	NodeIncoming = "/var/lib/bonsai/incoming"
	// NodeVar is where a node has its volume; NodeLayers, below, is where unpacked layers of images wait until the node takes
	// them: in a folder for each delivery, in folders named by the hex of their chains.
	NodeVar    = "/var"
	NodeLayers = NodeVar + "/lib/bonsai/layers"
	// NodeImagesArrived exists in the container of a node once it has all images that were on their way, whatever
	// NodeConfig.AwaitImages says: what brings them need not write the configuration again, which costs an engine a lot.
	NodeImagesArrived = NodeConfigDir + "/images-arrived"
	// NodeLogDir holds one log file per component; it is on the node's /var volume.
	NodeLogDir = "/var/log/bonsai"
)

// NodeConfig is everything that a node has to know before it can talk to other components. It is derived from the Spec,
// never edited by hand, and rewritten at each start.
type NodeConfig struct {
	Cluster string `json:"cluster"`
	Node    Node   `json:"node"`
	// Peers are the other nodes as planned, so that pod routes exist before the API server answers.
	Peers []Node `json:"peers"`
	// APIServer is the URL that nodes use ("https://10.201.0.1:6443").
	APIServer     string       `json:"apiServer"`
	Subnet        netip.Prefix `json:"subnet"`
	Gateway       netip.Addr   `json:"gateway"`
	PodCIDR       netip.Prefix `json:"podCIDR"`
	ServiceCIDR   netip.Prefix `json:"serviceCIDR"`
	DNSServiceIP  netip.Addr   `json:"dnsServiceIP"`
	ClusterDomain string       `json:"clusterDomain"`
	// DNSSearch is Spec.DNSSearch.
	DNSSearch  string     `json:"dnsSearch,omitempty"`
	Registries Registries `json:"registries,omitzero"`
	// Proxy is as this node uses it. Only pulls go through it.
	Proxy Proxy `json:"proxy,omitzero"`
	// FeatureGates and Kubelet are the user's: those of Spec.Settings, and its part of a KubeletConfiguration.
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
	Kubelet      string          `json:"kubelet,omitempty"`
	// Claims is the ID of the data of claims that replaces that in the node before anything runs; see NodeIncoming. Data
	// with another ID is not wanted any more.
	Claims string `json:"claims,omitempty"`
	// AwaitImages says that images are on their way into this node, which is new: its kubelet gets pods when they are there, which
	// NodeImagesArrived or the configuration says that is written then. Otherwise pods that need one would find it missing and wait
	// for the kubelet to look again, which it does after ten seconds, then after twenty.
	AwaitImages bool `json:"awaitImages,omitempty"`
	// WaitScale multiplies every limit on a wait, for slow machines.
	WaitScale wait.Scale `json:"waitScale"`
}

// NodeConfigFor derives the configuration of one node of a spec.
func (s *Spec) NodeConfigFor(n Node, apiServer string, scale wait.Scale) NodeConfig {
	peers := make([]Node, 0, len(s.Nodes))
	for _, p := range s.Nodes {
		if p.Name != n.Name {
			peers = append(peers, p)
		}
	}
	return NodeConfig{
		Cluster: s.Name, Node: n, Peers: peers, APIServer: apiServer,
		Subnet: s.Subnet, Gateway: s.Gateway, PodCIDR: s.PodRange(), ServiceCIDR: s.ServiceRange(),
		DNSServiceIP: s.DNSServiceIP(), ClusterDomain: ClusterDomain, DNSSearch: s.DNSSearch, Registries: s.Registries,
		Proxy: s.Proxy.InNodes(s), WaitScale: scale,
		FeatureGates: s.Settings.FeatureGates, Kubelet: s.Settings.Files[FileKubelet],
	}
}
