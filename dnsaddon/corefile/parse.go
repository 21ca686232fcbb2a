package corefile

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"bonsai/bootstrap/cluster"
	"bonsai/dnsaddon/zone"
)

// Parse turns the user's texts into a configuration and returns problems for everything that it ignores. A text that
// cannot be parsed counts as absent; a Reader remembers the previous one.
func Parse(src Sources, d Defaults) (Config, []cluster.Problem) {
	r := Reader{Defaults: d}
	return r.Read(src)
}

// Reader reads successive configurations. If a text cannot be parsed, because its braces do not match, the last valid
// text in its place stays in effect. Its methods are for one goroutine.
type Reader struct {
	// Defaults may change between two calls of Read.
	Defaults Defaults

	last Sources
}

// Read is Parse with memory.
func (r *Reader) Read(src Sources) (Config, []cluster.Problem) {
	b := builder{
		defaults: r.Defaults, src: src, last: r.last,
		good:     Sources{Corefile: map[string]string{}, Values: map[string]string{}, Custom: map[string]string{}, KubeDNS: map[string]string{}},
		snippets: map[string][]node{}, imported: map[string]bool{}, owners: map[string]*block{},
	}
	if b.defaults.Zone.Domain == "" {
		b.defaults.Zone.Domain = cluster.ClusterDomain
	}
	b.defaults.Zone.Domain = strings.ToLower(dns.Fqdn(b.defaults.Zone.Domain))
	b.build()
	r.last = b.good
	return b.config, b.problems.all()
}

// corefileKey is where the ConfigMap coredns has its Corefile.
const corefileKey = "Corefile"

// builder makes one Config.
type builder struct {
	defaults Defaults
	src      Sources
	last     Sources // texts that could be parsed
	good     Sources // the same, of this time

	problems problems
	snippets map[string][]node
	imported map[string]bool // keys of coredns-custom that the Corefile imports itself
	nodes    int             // added by imports
	// regexCost is that of all regexes so far.
	regexCost int

	blocks     []*block
	owners     map[string]*block // by zone
	kubernetes *node             // the directive in force
	config     Config
}

// build is the main flow: texts become blocks, blocks divide the zones, their directives fill the Config.
func (b *builder) build() {
	nodes, own := b.corefile()
	// A snippet may be used before its definition.
	nodes = slices.DeleteFunc(nodes, b.snippet)
	for _, n := range nodes {
		if n.name() != "import" || n.block {
			b.addBlock(n)
			continue
		}
		for _, n := range b.importBlocks(n) {
			b.addBlock(n)
		}
	}
	values := b.values()
	for _, n := range b.customServers() {
		b.addBlock(n)
	}
	b.shareZones()
	b.override(values)
	b.override(b.customOverrides())
	for _, s := range b.blocks {
		for _, n := range b.expand(s.body, 0) {
			b.directive(s, n)
		}
	}
	b.kubeDNS(own)
	b.forwards()
	b.finish(own)
}

// text reads one text. If it cannot be parsed, the last valid text in its place is used; if there is none, ok is false.
func (b *builder) text(at place, texts, last, good map[string]string, parse func(source, key, text string) ([]node, error), otherwise string) (nodes []node, ok bool) {
	text := texts[at.key]
	nodes, err := parse(at.source, at.key, text)
	if err == nil {
		good[at.key] = text
		return nodes, true
	}
	const hint = "correct the text; it is read again as soon as it changes"
	if text, ok := last[at.key]; ok {
		if nodes, again := parse(at.source, at.key, text); again == nil {
			good[at.key] = text
			b.problems.add(at, hint, "cannot be parsed (%v); the previous version stays in effect", readable(err))
			return nodes, true
		}
	}
	b.problems.add(at, hint, "cannot be parsed (%v); %s", readable(err), otherwise)
	return nil, false
}

func readable(err error) string { return clip(err.Error(), 200) }

// corefile reads the Corefile, or its replacement; own reports that it is the user's. The text that every cluster is created
// with counts as none: it says nothing that a user has decided.
func (b *builder) corefile() (nodes []node, own bool) {
	builtin := cluster.Corefile(strings.TrimSuffix(b.defaults.Zone.Domain, "."))
	if b.src.Corefile != nil && b.src.Corefile[corefileKey] != builtin {
		at := place{source: sourceCoreDNS, key: corefileKey}
		if nodes, ok := b.text(at, b.src.Corefile, b.last.Corefile, b.good.Corefile, parseCorefile, "the built-in configuration is in effect"); ok {
			b.config.Sources = append(b.config.Sources, sourceCoreDNS)
			return nodes, true
		}
	}
	nodes, err := parseBlocks(sourceBuiltin, corefileKey, builtin)
	if err != nil {
		panic(err) // a mistake in the constant
	}
	return nodes, false
}

var errEmpty = errors.New("there is no server block in it")

func parseCorefile(source, key, text string) ([]node, error) {
	nodes, err := parseBlocks(source, key, text)
	if err == nil && len(nodes) == 0 {
		err = errEmpty
	}
	return nodes, err
}

// customServers are the server blocks in coredns-custom that the Corefile does not import itself.
func (b *builder) customServers() []node {
	if b.src.Custom == nil {
		return nil
	}
	b.config.Sources = append(b.config.Sources, sourceCustom)
	var nodes []node
	for _, key := range slices.Sorted(maps.Keys(b.src.Custom)) {
		if strings.HasSuffix(key, ".server") && !b.imported[key] {
			nodes = append(nodes, b.customText(key, parseBlocks)...)
		}
	}
	// Snippets are known only in the text that contains them, except those of the Corefile.
	return slices.DeleteFunc(nodes, b.snippet)
}

// values are the directives of the addon's values. What a user has written in coredns-custom has precedence.
func (b *builder) values() []node {
	if b.src.Values == nil {
		return nil
	}
	b.config.Sources = append(b.config.Sources, sourceValues)
	at := place{source: sourceValues, key: cluster.DNSValuesKey}
	pieces, _ := b.text(at, b.src.Values, b.last.Values, b.good.Values, parseLines, "it is ignored")
	return pieces
}

// customOverrides are the pieces of coredns-custom that no text imports.
func (b *builder) customOverrides() (pieces []node) {
	for _, key := range slices.Sorted(maps.Keys(b.src.Custom)) {
		if strings.HasSuffix(key, ".override") && !b.importedBelow(key) {
			pieces = append(pieces, b.customText(key, parseLines)...)
		}
	}
	return pieces
}

// override adds directives to the default server block. One that is allowed only once replaces an existing one.
func (b *builder) override(pieces []node) {
	if len(pieces) == 0 {
		return
	}
	s := b.owners["."]
	if s == nil {
		b.problems.add(pieces[0].where, "add a server block for \".\" to the Corefile", "there is no default server block to override; it is ignored")
		return
	}
	pieces = b.expand(pieces, 0)
	s.body = slices.DeleteFunc(b.expand(s.body, 0), func(n node) bool {
		return slices.ContainsFunc(pieces, func(p node) bool { return overrides(p, n) })
	})
	s.body = append(pieces, s.body...)
}

// overrides reports whether a directive replaces one that was there before. Those that can coexist do.
func overrides(piece, n node) bool {
	if piece.name() != n.name() {
		return false
	}
	switch n.name() {
	case "forward":
		return len(piece.words) > 1 && len(n.words) > 1 && piece.words[1] == n.words[1]
	case "cache", "kubernetes", "errors", "health", "ready", "prometheus", "reload", "loop", "loadbalance":
		return true
	}
	return false
}

// customText reads one key of coredns-custom.
func (b *builder) customText(key string, parse func(source, key, text string) ([]node, error)) []node {
	at := place{source: sourceCustom, key: key}
	nodes, _ := b.text(at, b.src.Custom, b.last.Custom, b.good.Custom, parse, "it is ignored")
	return nodes
}

// finish completes what depends on the whole configuration.
func (b *builder) finish(own bool) {
	at := place{source: sourceCoreDNS, key: corefileKey}
	if b.kubernetes == nil {
		// Pods could not find anything, which nobody intends by omitting a line.
		b.config.Zone = b.defaults.Zone
		b.config.Zone.TTL, b.config.Zone.Pods, b.config.Zone.Fallthrough = 30, zone.Insecure, []string{"in-addr.arpa.", "ip6.arpa."}
		b.problems.add(at, "add: kubernetes "+strings.TrimSuffix(b.defaults.Zone.Domain, ".")+" in-addr.arpa ip6.arpa",
			"no server block has the plugin kubernetes; the cluster's names are answered anyway")
	}
	if own && b.owners["."] == nil {
		b.problems.add(at, "add a server block for \".\" with: forward . /etc/resolv.conf",
			"no server block answers for \".\"; names outside the cluster are refused")
	}
	for _, s := range b.blocks {
		b.config.Blocks = append(b.config.Blocks, s.out)
	}
}
