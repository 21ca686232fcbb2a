// Package corefile reads what users write about cluster DNS: a Corefile in the ConfigMap kube-system/coredns, pieces
// of one in kube-system/coredns-custom, and the older kube-system/kube-dns with stub domains.
//
// Parse turns all of it into one Config, a plain value that the other packages follow. It never fails. What it does
// not understand, or what this server does not offer, becomes a cluster.Problem and is left out; everything else is
// in force. Without any ConfigMap the Config is that of kubeadm's Corefile.
//
// A Corefile is read as CoreDNS would: server blocks share out the names, the longest zone wins, directives work in
// CoreDNS's order whatever their order in the text. docs/dns.md lists the directives. Begin reading at Parse; the
// directives are in plugins.go and the files named after them.
package corefile

import (
	"net/netip"
	"reflect"

	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/zone"
)

// Config is a complete configuration. It holds no pointers to anything that changes; names in it are fully qualified
// and in lower case.
type Config struct {
	// Zone is how the cluster's own names are answered.
	Zone zone.Options
	// Blocks are the server blocks: they share out all names, and no zone is in two of them.
	Blocks []Block
	// Forward are the zones that go to other servers. A zone without an upstream is answered with SERVFAIL. There is
	// none for "." if the user's Corefile answers for some zones only.
	Forward []forward.Zone
	// Sources are the ConfigMaps in force, in the order they apply: "configmap/kube-system/coredns".
	Sources []string
}

// Equal says whether two configurations do the same, so that one need not be applied after the other.
func (c Config) Equal(o Config) bool { return reflect.DeepEqual(c, o) }

// Block is what one server block does with its questions before the cluster's records and the upstreams see them.
type Block struct {
	Zones     []string
	Rewrites  []Rewrite
	Templates []Template
	Hosts     *Hosts
	Logs      []Log
}

// Log makes the server log questions.
type Log struct {
	Zones []string
	// Success, Denial and Error choose by the kind of answer.
	Success, Denial, Error bool
}

// Hosts are addresses written into the configuration.
type Hosts struct {
	// Zones are what the entries are authoritative for.
	Zones   []string
	Entries []HostEntry
	TTL     uint32
	// NoReverse leaves PTR questions alone.
	NoReverse bool
	// Fallthrough are the zones in which names without an entry go on; elsewhere they are SERVFAIL, as in CoreDNS.
	Fallthrough []string
	// FallthroughUnsupported lets other types than A and AAAA of names with an entry go on.
	FallthroughUnsupported bool
}

// HostEntry is one line of hosts. A name may begin with "*." for one more label.
type HostEntry struct {
	Addr  netip.Addr
	Names []string
}

// Match is how a Rewrite compares names.
type Match string

// The ways to compare.
const (
	MatchExact     Match = "exact"
	MatchPrefix    Match = "prefix"
	MatchSuffix    Match = "suffix"
	MatchSubstring Match = "substring"
	MatchRegex     Match = "regex"
)

// Field is what a Rewrite changes.
type Field string

// The fields that can be rewritten.
const (
	FieldName  Field = "name"
	FieldType  Field = "type"
	FieldTTL   Field = "ttl"
	FieldRcode Field = "rcode"
)

// Rewrite changes a question before anything answers it, or the answer afterwards. Only what its Field needs is set.
type Rewrite struct {
	Field Field
	// Continue tries the next Rewrite too, after this one matched.
	Continue bool
	// Match and From choose the names; To is the new name of FieldName, with {1} for a group of a regex.
	Match    Match
	From, To string
	// Auto writes the asked name back into the answer.
	Auto bool
	// Answers are further rewrites of names in the answer; the last is done first.
	Answers []AnswerRewrite

	FromType, ToType   uint16
	MinTTL, MaxTTL     uint32
	FromRcode, ToRcode int
}

// AnswerRewrite replaces, in answers to a rewritten question, names that match a regex.
type AnswerRewrite struct {
	// Value says that it is about names in the data of records, else about their owners.
	Value    bool
	From, To string
}

// Template makes answers out of questions.
type Template struct {
	// Type is dns.TypeANY for all types.
	Type  uint16
	Zones []string
	// Match are regexes, of which the first that fits the name gives the groups; none means every name.
	Match []string
	Rcode int
	// Answer, Additional and Authority are Go templates of one record each.
	Answer, Additional, Authority []string
	// Fallthrough are the zones in which names that Match does not fit go on; elsewhere they are SERVFAIL.
	Fallthrough []string
}

// Sources are the ConfigMaps' data; nil stands for a ConfigMap that does not exist.
type Sources struct {
	Corefile map[string]string // coredns
	Custom   map[string]string // coredns-custom
	KubeDNS  map[string]string // kube-dns
}

// Defaults are what a configuration refers to without naming it.
type Defaults struct {
	// Zone is what a Corefile does not set: the cluster's domain and its addresses.
	Zone zone.Options
	// Upstreams are the node's own resolvers, "host:port": what a Corefile calls /etc/resolv.conf.
	Upstreams []string
}

// The values of plugins that say nothing else, as CoreDNS documents them.
const (
	defaultTTL      = 5
	maxTTL          = 3600
	defaultHostsTTL = 3600
)

// kubeadm is the Corefile that kubeadm gives a new cluster; it takes the place of one that is not there.
const kubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes %[1]s in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success %[1]s
       disable denial %[1]s
    }
    loop
    reload
    loadbalance
}
`
