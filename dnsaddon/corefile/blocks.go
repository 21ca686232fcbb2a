package corefile

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// block is a server block while the Config is being built.
type block struct {
	node
	keys     []key
	out      Block
	forwards []*forwarding
	cache    *caching
}

// key is one zone of a server block.
type key struct{ zone, port string }

// addBlock reads a server block's zones.
func (b *builder) addBlock(n node) {
	s := &block{node: n}
	for _, word := range n.words {
		zones, port, err := parseZone(word)
		if err != nil {
			b.problems.add(n.where, "", "server block for %s: %v; it is ignored", shorten(word), err)
			continue
		}
		for _, zone := range zones {
			s.keys = append(s.keys, key{zone, port})
		}
	}
	b.blocks = append(b.blocks, s)
}

// shareZones gives each zone to one block. There is one port to listen at, so only the blocks on the Corefile's main
// port count: that of the block with the cluster's names, which is not always written as 53.
func (b *builder) shareZones() {
	main := b.mainPort()
	for _, s := range b.blocks {
		for _, k := range s.keys {
			switch owner := b.owners[k.zone]; {
			case k.port != main:
				b.problems.add(s.where, "", "server block for %s on port %s: cluster DNS has one port only; it is ignored", shorten(k.zone), k.port)
			case owner == s:
			case owner != nil:
				b.problems.add(s.where, "", "server block for %s: %s has one already; this one is ignored", shorten(k.zone), owner.where)
			default:
				b.owners[k.zone] = s
				s.out.Zones = append(s.out.Zones, k.zone)
			}
		}
	}
	b.blocks = slices.DeleteFunc(b.blocks, func(s *block) bool { return len(s.out.Zones) == 0 })
}

func (b *builder) mainPort() string {
	first := func(fits func(*block, key) bool) string {
		for _, s := range b.blocks {
			for _, k := range s.keys {
				if fits(s, k) {
					return k.port
				}
			}
		}
		return ""
	}
	for _, fits := range []func(*block, key) bool{
		func(s *block, _ key) bool {
			return slices.ContainsFunc(s.body, func(n node) bool { return n.name() == "kubernetes" })
		},
		func(_ *block, k key) bool { return k.zone == "." },
	} {
		if port := first(fits); port != "" {
			return port
		}
	}
	return defaultPort
}

// snippet records a block that is a snippet, "(name) { … }".
func (b *builder) snippet(n node) bool {
	name, ok := snippetName(n)
	if !ok {
		return false
	}
	if _, twice := b.snippets[name]; twice {
		b.problems.add(n.where, "", "snippet %s is defined twice; the first is used", shorten(name))
		return true
	}
	b.snippets[name] = n.body
	return true
}

func snippetName(n node) (string, bool) {
	if len(n.words) != 1 || !n.block {
		return "", false
	}
	name, ok := strings.CutPrefix(n.words[0], "(")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, ")")
}

// expand replaces imports by their contents.
func (b *builder) expand(nodes []node, depth int) []node {
	var all []node
	for _, n := range nodes {
		if depth > 0 {
			if b.nodes++; b.nodes > maxImported {
				b.problems.add(n.where, "", "imports add more than %d lines; the rest is ignored", maxImported)
				return all
			}
		}
		if n.name() == "import" && !n.block {
			if depth >= maxImportDepth {
				b.problems.add(n.where, "", "%s: imports are nested too deeply; it is ignored", n)
				continue
			}
			all = append(all, b.expand(b.importLines(n), depth+1)...)
			continue
		}
		if n.block {
			n.body = b.expand(n.body, depth)
		}
		all = append(all, n)
	}
	return all
}

// importLines returns the contents of an import in a server block: a snippet or keys of a ConfigMap.
func (b *builder) importLines(n node) []node {
	if len(n.words) != 2 {
		b.problems.add(n.where, "", "%s: import takes one name; it is ignored", n)
		return nil
	}
	if body, ok := b.snippets[n.words[1]]; ok {
		return body
	}
	var all []node
	for _, key := range b.importKeys(n) {
		all = append(all, b.customText(key, parseLines)...)
	}
	return all
}

// importBlocks returns the contents of an import between server blocks.
func (b *builder) importBlocks(n node) []node {
	if len(n.words) != 2 {
		b.problems.add(n.where, "", "%s: import takes one name; it is ignored", n)
		return nil
	}
	var all []node
	for _, key := range b.importKeys(n) {
		all = append(all, b.customText(key, parseBlocks)...)
	}
	return slices.DeleteFunc(all, b.snippet)
}

// importKeys finds the keys of coredns-custom that an import names. The folder in which the files would be mounted does
// not matter; there are no others.
func (b *builder) importKeys(n node) []string {
	pattern := path.Base(n.words[1])
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(b.src.Custom)) {
		if ok, err := path.Match(pattern, key); err == nil && ok {
			b.imported[key] = true
			keys = append(keys, key)
		}
	}
	// A pattern may match nothing yet; a name must exist.
	if len(keys) == 0 && !strings.ContainsAny(pattern, "*?[") {
		b.problems.add(n.where, "add the key to the ConfigMap coredns-custom, or remove the import",
			"%s: neither a snippet nor a key of the ConfigMap coredns-custom has this name; it is ignored", n)
	}
	return keys
}

// importedBelow reports whether some server block imports a key of coredns-custom.
func (b *builder) importedBelow(key string) bool {
	var below func(nodes []node) bool
	below = func(nodes []node) bool {
		return slices.ContainsFunc(nodes, func(n node) bool {
			if n.name() == "import" && len(n.words) == 2 {
				ok, err := path.Match(path.Base(n.words[1]), key)
				return err == nil && ok
			}
			return below(n.body)
		})
	}
	if slices.ContainsFunc(b.blocks, func(s *block) bool { return below(s.body) }) {
		return true
	}
	for _, body := range b.snippets {
		if below(body) {
			return true
		}
	}
	return false
}

// within reports whether name is zone or below it.
func within(name, zone string) bool { return dns.IsSubDomain(zone, name) }
