package cluster

import (
	"net/netip"
	"time"
)

// DNSPort is where each node's DNS server listens on the node's address, UDP and TCP. Pods reach it through the
// Service kube-dns; port 53 itself stays free for pods with a host port.
const DNSPort = 10053

// DNSAddon is the name of the addon that brings cluster DNS, which clusters have unless told otherwise.
const DNSAddon = "dns"

// DNSMetricsPort serves the DNS server's metrics and its health on the node's address, under the names and on the port
// that dashboards know from CoreDNS.
const DNSMetricsPort = 9153

// NodeResolver is the address inside every node at which its DNS server answers as the machine's own resolver would:
// no cluster names, only what is outside. Pods with dnsPolicy Default use it, since the engine's resolver listens on
// the node's loopback, where pods cannot reach it. It is the link-local address that NodeLocal DNSCache made known.
var NodeResolver = netip.MustParseAddr("169.254.20.10")

// DNSStatus is what the DNS server of one node tells of itself.
type DNSStatus struct {
	Node string `json:"node"`
	// Phase is Running once it answers from complete records, Starting before, Degraded if it answers but something is
	// wrong (Problems), Unknown if the node could not be asked.
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
	// Since is when it started.
	Since time.Time `json:"since,omitzero"`
	// Listen are the addresses that it answers at.
	Listen []string `json:"listen,omitempty"`
	Domain string   `json:"domain"`
	// Search are the node's own search domains; pods have them after those of the cluster.
	Search  []string   `json:"search,omitempty"`
	Records DNSRecords `json:"records"`
	// Upstreams are those of all forwarding zones, in order of zone.
	Upstreams []DNSUpstream `json:"upstreams"`
	Cache     DNSCache      `json:"cache"`
	// Queries were answered since the start, by rcode ("NOERROR").
	Queries map[string]uint64 `json:"queries"`
	// Config names the ConfigMaps in force, in the order they apply.
	Config   []string  `json:"config,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// DNSRecords counts what a server answers cluster names from.
type DNSRecords struct {
	Services   int `json:"services"`
	Endpoints  int `json:"endpoints"`
	Namespaces int `json:"namespaces"`
	// Pods are counted in verified mode only.
	Pods int `json:"pods,omitempty"`
	// Changed is when the newest change was taken in.
	Changed time.Time `json:"changed,omitzero"`
}

// DNSUpstream is one server that questions are forwarded to.
type DNSUpstream struct {
	// Zone is what is forwarded there; "." is everything that has no zone of its own.
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
	// Stale counts answers that were served although they had expired, for want of an upstream.
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

// DNSQuery is one answered question, as the live feed tells it.
type DNSQuery struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	// Client is the asker's address, Pod the "namespace/name" behind it; Pod is empty if nobody knows, and "node/NAME"
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
	// Upstream is who was asked, for forwarded questions.
	Upstream string `json:"upstream,omitempty"`
	// Tries are the names of the search path that were asked before this one for nothing; the feed folds them into
	// the question that ended the search.
	Tries []string `json:"tries,omitempty"`
	// Dropped counts questions that were not told, some time before this one: they came faster than they were read.
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
	// Client is the address to ask in the name of, for rules that depend on it; zero is the node itself.
	Client netip.Addr `json:"client,omitzero"`
}

// DNSLookupResult tells each step that a lookup took.
type DNSLookupResult struct {
	Node  string    `json:"node"`
	Steps []DNSStep `json:"steps"`
}

// DNSStep is one question on the way and what happened to it.
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
	// Pod ("namespace/name", or "node/NAME") is the asker; empty for all. A pod that does not exist yet is waited for.
	Pod string
	// Fold tells a search as one question; see DNSQuery.
	Fold bool
}

// DNSQuestion is a lookup as a user wants it.
type DNSQuestion struct {
	Name string `json:"name"`
	// Type is empty for A and AAAA.
	Type string `json:"type,omitempty"`
	TCP  bool   `json:"tcp,omitempty"`
	// Pod ("namespace/name") is who asks: with its address, by its search path, on its node. Empty is the search path of a
	// pod in the namespace default that is like most.
	Pod string `json:"pod,omitempty"`
	// Node is whose server is asked; empty is that of the pod, or the first that answers.
	Node string `json:"node,omitempty"`
	// Plain asks for Name as it is, without the search path.
	Plain bool `json:"plain,omitempty"`
}

// DNSAnswer tells each step of a lookup, and how it was made.
type DNSAnswer struct {
	DNSLookupResult
	// Asked is what the server was asked, with the search path and address that were found for the pod.
	Asked DNSLookup `json:"asked"`
	Pod   string    `json:"pod,omitempty"`
	// Notes say why the pod itself may get another answer.
	Notes []string `json:"notes,omitempty"`
}

// DNSFlushed is the outcome on one node. Reason says why it could not be done.
type DNSFlushed struct {
	Node    string `json:"node"`
	Entries int    `json:"entries"`
	Reason  string `json:"reason,omitempty"`
}
