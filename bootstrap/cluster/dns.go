package cluster

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// DNSPort is where each node's DNS server listens on the node's address, UDP and TCP. Pods reach it through the
// Service kube-dns. It is next to AgentPort, where no well-known program listens: port 53, 10053 and those of CoreDNS and
// NodeLocal DNSCache stay free for pods on the node's network.
const DNSPort = 10271

// DNSAddon is the name of the addon for cluster DNS, which clusters have by default.
const DNSAddon = "dns"

// DNSMetricsPort serves the DNS server's metrics and its health on the node's address. The Service kube-dns has them at
// DNSMetricsServicePort, which is CoreDNS's.
const (
	DNSMetricsPort        = 10272
	DNSMetricsServicePort = 9153
)

// NodeResolver is the address inside every node at which its DNS server answers as the machine's own resolver would:
// only external names, no cluster names. Pods with dnsPolicy Default use it, because the engine's resolver listens on
// the node's loopback, where pods cannot reach it. It is none of the link-local addresses that clouds and other programs are
// known to use: NodeLocal DNSCache has 169.254.20.10 or 169.254.25.10, EdgeMesh 169.254.96.16, Calico 169.254.1.1.
var NodeResolver = netip.MustParseAddr("169.254.102.71")

// DNSConfigMap is the ConfigMap in kube-system with the Corefile, under the name that kubeadm gives it: scripts read it,
// change it and write it back.
const DNSConfigMap = "coredns"

// DNSValuesMap is the ConfigMap in kube-system with what the values of the addon dns say, as directives of a Corefile in the key
// DNSValuesKey. It is the addon's, and not for people.
const (
	DNSValuesMap = "bonsai-dns"
	DNSValuesKey = "values.override"
)

// DNSStandIn is the schedulerName of the pods of the Deployment coredns. No node runs them: they show scripts that wait for
// CoreDNS whether the servers in the agents answer.
const DNSStandIn = "bonsai-agent"

// ComponentPods is the schedulerName of the pods that show the components of a cluster. No node runs them; their logs are those
// of the components.
const ComponentPods = "bonsai-components"

// NoKubeletRuns reports whether pods with this schedulerName only show something, and are kept from the kubelets.
func NoKubeletRuns(schedulerName string) bool {
	return schedulerName == DNSStandIn || schedulerName == ComponentPods
}

// Corefile is the configuration of a new cluster, and of one without a Corefile: kubeadm's text, with the zone domain.
func Corefile(domain string) string {
	return strings.ReplaceAll(`.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes DOMAIN in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success DOMAIN
       disable denial DOMAIN
    }
    loop
    reload
    loadbalance
}
`, "DOMAIN", domain)
}

// What pods get of the search domains of the machine.
const (
	DNSSearchAuto = "auto" // those below which not every name exists
	DNSSearchAll  = "all"
	DNSSearchNone = "none"
)

// ParseDNSSearch returns Spec.DNSSearch for what a user wrote.
func ParseDNSSearch(text string) (string, error) {
	switch text {
	case DNSSearchAuto, DNSSearchAll, DNSSearchNone:
		return text, nil
	}
	return "", fmt.Errorf("search domains %q are not possible; possible are %s, %s and %s", text, DNSSearchAuto, DNSSearchAll, DNSSearchNone)
}

// DNSStatus is what the DNS server of one node reports about itself.
type DNSStatus struct {
	Node string `json:"node"`
	// Phase is Running once it answers from complete records, Starting before, Degraded if it answers but something is
	// wrong (Problems), Unknown if the node could not be asked.
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
	// Since is when it started.
	Since time.Time `json:"since,omitzero"`
	// Listen are the addresses on which it answers.
	Listen []string `json:"listen,omitempty"`
	Domain string   `json:"domain"`
	// Search are the node's own search domains; pods have them after those of the cluster. Omitted are those that pods do not
	// get, because every name exists below them.
	Search  []string   `json:"search,omitempty"`
	Omitted []string   `json:"omitted,omitempty"`
	Records DNSRecords `json:"records"`
	// Upstreams are those of all forwarding zones, in order of zone.
	Upstreams []DNSUpstream `json:"upstreams"`
	Cache     DNSCache      `json:"cache"`
	// Queries were answered since the start, by rcode ("NOERROR").
	Queries map[string]uint64 `json:"queries"`
	// Config names the ConfigMaps in effect, in the order in which they apply.
	Config   []string  `json:"config,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// DNSRecords counts the records from which a server answers cluster names.
type DNSRecords struct {
	Services   int `json:"services"`
	Endpoints  int `json:"endpoints"`
	Namespaces int `json:"namespaces"`
	// Pods are counted in verified mode only.
	Pods int `json:"pods,omitempty"`
	// Changed is when the newest change was applied.
	Changed time.Time `json:"changed,omitzero"`
}

// DNSOneLabel is in place of a zone for names of a single label, such as those of containers.
const DNSOneLabel = "one label"

// DNSUpstream is one server that questions are forwarded to.
type DNSUpstream struct {
	// Zone is what is forwarded there; "." is everything that has no zone of its own, DNSOneLabel names of a single label.
	Zone    string `json:"zone"`
	Address string `json:"address"`
	// Phase is Running, Failed (it does not answer), or Degraded: cut off because it leads back here.
	Phase    Phase         `json:"phase"`
	Reason   string        `json:"reason,omitempty"`
	Queries  uint64        `json:"queries"`
	Failures uint64        `json:"failures"`
	Latency  time.Duration `json:"latencyNanos,omitempty"` // of the newest answers, smoothed
}

// DNSCache says how the cache of forwarded answers is used.
type DNSCache struct {
	Entries  int    `json:"entries"`
	Capacity int    `json:"capacity"`
	Hits     uint64 `json:"hits"`
	Misses   uint64 `json:"misses"`
	// Stale counts expired answers that were served because no upstream answered.
	Stale uint64 `json:"stale"`
}

// DNSSource is where an answer came from.
type DNSSource string

// The sources of answers.
const (
	DNSFromCluster DNSSource = "cluster" // the records of Services, endpoints and pods
	DNSFromCache   DNSSource = "cache"
	DNSFromStale   DNSSource = "stale"   // expired, but no upstream answers
	DNSFromForward DNSSource = "forward" // an upstream, asked for this question
	DNSFromLocal   DNSSource = "local"   // hosts, templates, localhost
	DNSRefused     DNSSource = "refused" // by a rule of the server
)

// DNSQuery is one answered question, as the live feed publishes it.
type DNSQuery struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	// Client is the client's address, Pod the "namespace/name" that has it; Pod is empty if unknown, and "node/NAME"
	// for a node or a pod on its network.
	Client netip.Addr `json:"client"`
	Pod    string     `json:"pod,omitempty"`
	Proto  string     `json:"proto"` // udp or tcp
	Name   string     `json:"name"`
	Type   string     `json:"type"`
	Rcode  string     `json:"rcode"`
	// Answers are the data of the records, at most a few; Count is how many there were.
	Answers []string      `json:"answers,omitempty"`
	Count   int           `json:"count"`
	Took    time.Duration `json:"tookNanos"`
	Source  DNSSource     `json:"source"`
	// Upstream is the server that was asked, for forwarded questions.
	Upstream string `json:"upstream,omitempty"`
	// Tries are the names of the search path that were asked before without success; the feed folds them into the
	// question that ended the search.
	Tries []string `json:"tries,omitempty"`
	// Dropped counts questions before this one that were not published, because they arrived faster than they were
	// read.
	Dropped uint64 `json:"dropped,omitempty"`
}

// DNSLookup is a question that bonsai itself asks a node's DNS server, as a pod would.
type DNSLookup struct {
	Name string `json:"name"`
	// Type is "A", "AAAA", "SRV"…; empty asks for A and AAAA.
	Type string `json:"type,omitempty"`
	TCP  bool   `json:"tcp,omitempty"`
	// Search and Ndots are the resolver's; an empty Search asks for Name as it is.
	Search []string `json:"search,omitempty"`
	Ndots  int      `json:"ndots,omitempty"`
	// Client is the address on whose behalf to ask, for rules that depend on it; zero is the node itself.
	Client netip.Addr `json:"client,omitzero"`
}

// DNSLookupResult contains each step of a lookup.
type DNSLookupResult struct {
	Node  string    `json:"node"`
	Steps []DNSStep `json:"steps"`
}

// DNSStep is one question of a lookup and its answer.
type DNSStep struct {
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	Rcode  string    `json:"rcode"`
	Source DNSSource `json:"source"`
	// Rule says in words why the answer is what it is ("Service default/web has no ready endpoint").
	Rule      string        `json:"rule,omitempty"`
	Upstream  string        `json:"upstream,omitempty"`
	Took      time.Duration `json:"tookNanos"`
	Truncated bool          `json:"truncated,omitempty"`
	// Answers and Authority are records in presentation form.
	Answers   []string `json:"answers,omitempty"`
	Authority []string `json:"authority,omitempty"`
}

// DNSLogQuery selects questions.
type DNSLogQuery struct {
	// Node is the server's; empty for all.
	Node string
	// Pod ("namespace/name", or "node/NAME") is the client; empty for all. A pod that does not exist yet is waited for.
	Pod string
	// Fold returns a search as one question; see DNSQuery.
	Fold bool
}

// DNSQuestion is a lookup as a user requests it.
type DNSQuestion struct {
	Name string `json:"name"`
	// Type is empty for A and AAAA.
	Type string `json:"type,omitempty"`
	TCP  bool   `json:"tcp,omitempty"`
	// Pod ("namespace/name") is the pod to ask as: with its address, search path, and node. Empty means the search path
	// of a typical pod in the namespace default.
	Pod string `json:"pod,omitempty"`
	// Node is the node whose server is asked; empty means that of the pod, or the first that answers.
	Node string `json:"node,omitempty"`
	// Plain asks for Name as it is, without the search path.
	Plain bool `json:"plain,omitempty"`
}

// DNSAnswer contains each step of a lookup, and how it was done.
type DNSAnswer struct {
	DNSLookupResult
	// Asked is the question to the server, with the search path and address that were found for the pod.
	Asked DNSLookup `json:"asked"`
	Pod   string    `json:"pod,omitempty"`
	// Notes say why the pod itself may get a different answer.
	Notes []string `json:"notes,omitempty"`
}

// DNSFlushed is the result on one node. Reason says why it failed.
type DNSFlushed struct {
	Node    string `json:"node"`
	Entries int    `json:"entries"`
	Reason  string `json:"reason,omitempty"`
}

// Resolvers are the DNS servers and search domains of a machine.
type Resolvers struct {
	// Servers are those that nodes can reach, in the order in which they are asked.
	Servers []netip.AddrPort `json:"servers,omitempty"`
	// Loopback is one on the machine's loopback that is asked instead. Nodes reach it only through the engine, if that knows it.
	Loopback netip.Addr `json:"loopback,omitzero"`
	Search   []string   `json:"search,omitempty"`
	// Since is when that was written. Nodes that started later have it from the engine.
	Since time.Time `json:"since"`
}

// Equal reports whether two values are the same.
func (r Resolvers) Equal(o Resolvers) bool {
	return slices.Equal(r.Servers, o.Servers) && r.Loopback == o.Loopback && slices.Equal(r.Search, o.Search) && r.Since.Equal(o.Since)
}
