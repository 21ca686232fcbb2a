// Package corefile reads the user's configuration of cluster DNS: a Corefile in the ConfigMap kube-system/coredns,
// pieces of one in kube-system/coredns-custom, and the older kube-system/kube-dns with stub domains.
//
// Parse turns all of it into one Config, a plain value that the other packages use. It never fails. What it does not
// understand, or what this server does not support, becomes a cluster.Problem and is ignored; everything else takes
// effect. Without any ConfigMap the Config is that of kubeadm's Corefile.
//
// A Corefile is read as CoreDNS would: server blocks divide the names between them, the longest zone wins, directives
// take effect in CoreDNS's order whatever their order in the text. docs/dns.md lists the directives. Begin reading at
// Parse; the directives are in plugins.go and the files named after them.
package corefile

import (
	"net/netip"
	"reflect"

	"bonsai/dnsaddon/forward"
	"bonsai/dnsaddon/zone"
)

// Config is a complete configuration. It has no pointers to anything that changes; names in it are fully qualified and
// in lower case.
type Config struct {
	// Zone is how the cluster's own names are answered.
	Zone zone.Options
	// Blocks are the server blocks: they divide all names between them, and no zone is in two of them.
	Blocks []Block
	// Forward are the zones that are forwarded to other servers. A zone without an upstream is answered with SERVFAIL.
	// There is none for "." if the user's Corefile answers only for some zones.
	Forward []forward.Zone
	// Sources are the ConfigMaps in effect, in the order in which they apply: "configmap/kube-system/coredns".
	Sources []string
}

// Equal reports whether two configurations do the same, so that the second need not be applied.
func (c Config) Equal(o Config) bool { return reflect.DeepEqual(c, o) }

// Block is what one server block does with its questions before the cluster's records and the upstreams are asked.
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
	// Success, Denial and Error select by the kind of answer.
	Success, Denial, Error bool
}

// Hosts are addresses in the configuration.
type Hosts struct {
	// Zones are those for which the entries are authoritative.
	Zones   []string
	Entries []HostEntry
	TTL     uint32
	// NoReverse leaves PTR questions alone.
	NoReverse bool
	// Fallthrough are the zones in which names without an entry are passed on; elsewhere they are SERVFAIL, as in
	// CoreDNS.
	Fallthrough []string
	// FallthroughUnsupported passes on questions for types other than A and AAAA of names with an entry.
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

// Rewrite changes a question before it is answered, or the answer afterwards. Only the fields that its Field needs are
// set.
type Rewrite struct {
	Field Field
	// Continue tries the next Rewrite too, after this one matched.
	Continue bool
	// Match and From choose the names; To is the new name of FieldName, with {1} for a group of a regex.
	Match    Match
	From, To string
	// Auto puts the original name back into the answer.
	Auto bool
	// Answers are further rewrites of names in the answer; the last is applied first.
	Answers []AnswerRewrite

	FromType, ToType   uint16
	MinTTL, MaxTTL     uint32
	FromRcode, ToRcode int
}

// AnswerRewrite replaces, in answers to a rewritten question, names that match a regex.
type AnswerRewrite struct {
	// Value reports that it applies to names in the data of records, otherwise to their owners.
	Value    bool
	From, To string
}

// Template creates answers from questions.
type Template struct {
	// Type is dns.TypeANY for all types.
	Type  uint16
	Zones []string
	// Match are regexes, of which the first that matches the name defines the groups; none means every name.
	Match []string
	Rcode int
	// Answer, Additional and Authority are Go templates of one record each.
	Answer, Additional, Authority []string
	// Fallthrough are the zones in which names that Match does not match are passed on; elsewhere they are SERVFAIL.
	Fallthrough []string
}

// Sources are the ConfigMaps' data; nil means that the ConfigMap does not exist.
type Sources struct {
	Corefile map[string]string // coredns
	Values   map[string]string // cluster.DNSValuesMap
	Custom   map[string]string // coredns-custom
	KubeDNS  map[string]string // kube-dns
}

// Defaults are what a configuration refers to without naming it.
type Defaults struct {
	// Zone is what a Corefile does not set: the cluster's domain and its addresses.
	Zone zone.Options
	// Upstreams are the node's own resolvers, "host:port", to which /etc/resolv.conf in a Corefile refers.
	Upstreams []string
	// Machine says that they are those of the machine, and not one of its engine: they are asked as its C library does, each when
	// the one before fails, and OneLabel, the engine's, for names of a single label, such as those of containers.
	Machine  bool
	OneLabel []string
}

// The defaults of plugins, as CoreDNS documents them.
const (
	defaultTTL      = 5
	maxTTL          = 3600
	defaultHostsTTL = 3600
)
