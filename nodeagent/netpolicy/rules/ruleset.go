package rules

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/knftables"
)

// TableName is that of the table, of the family ip.
const TableName = "bonsai-policies"

// Ruleset is the content of the table. It is not changed.
type Ruleset struct {
	// Sets and Maps are by name.
	Sets   map[string]Set
	Maps   map[string]Map
	Chains map[string]Chain
	// local are addresses of the node itself, which the kernel knows.
	local []netip.Addr
}

// Set is a set of the type that nftables calls Type.
type Set struct {
	Type string
	// Size is how many elements it can have; 0 for any number.
	Size uint64
	// Forgets is not zero if rules add elements, each of which stays for that long after it was last seen.
	Forgets  time.Duration
	Elements map[string]bool // "A . B" for a key of two parts
}

// judged is the direction of connections that is judged, and so that of all packets which get a mark.
const judged = "original"

// Map leads from keys to values.
type Map struct {
	Type     string
	Elements map[string]string
}

// Chain is a chain with its rules. One with a Hook is called by the kernel.
type Chain struct {
	Hook     knftables.BaseChainHook
	Priority knftables.BaseChainPriority
	// Comment says to people what it is for.
	Comment string
	Rules   []string
	// The kernel does not get these: Of are the policies of pods that have this chain in common, and By are the rules of policies that
	// each of Rules stands for, in a chain that has only such.
	Of []Key
	By []Source
}

// Source is a rule of a policy: its place among those of one direction.
type Source struct {
	Policy Key
	Rule   int
}

// add adds a rule of some parts.
func (c *Chain) add(by Source, parts ...string) {
	c.Rules = append(c.Rules, strings.Join(strings.Fields(strings.Join(parts, " ")), " "))
	c.By = append(c.By, by)
}

// Size is how many rules and how many elements there are.
func (r *Ruleset) Size() (rules, elements int) {
	for _, c := range r.Chains {
		rules += len(c.Rules)
	}
	for _, s := range r.Sets {
		elements += len(s.Elements)
	}
	for _, m := range r.Maps {
		elements += len(m.Elements)
	}
	return rules, elements
}

// Replace adds to tx what makes the table what r says, whatever it is now; nil removes it. All of tx happens at once.
func (r *Ruleset) Replace(tx *knftables.Transaction) {
	// Added first, so that it can be deleted whether it exists or not.
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if r == nil {
		return
	}
	tx.Add(&knftables.Table{Comment: new("NetworkPolicies, enforced by bonsai")})
	r.Change(tx, &Ruleset{})
}

// Change adds to tx what makes a table that is as old says what r says. It reports whether that is anything.
func (r *Ruleset) Change(tx *knftables.Transaction, old *Ruleset) bool {
	before := tx.NumOperations()
	// What is new is there before anything refers to it, and what is gone goes when nothing does any more.
	r.create(tx, old)
	for _, name := range sorted(r.Sets) {
		for _, e := range added(r.Sets[name].Elements, old.Sets[name].Elements) {
			tx.Add(&knftables.Element{Set: name, Key: key(e)})
		}
	}
	for _, name := range sorted(r.Chains) {
		c, o := r.Chains[name], old.Chains[name]
		if slices.Equal(c.Rules, o.Rules) {
			continue
		}
		if len(o.Rules) > 0 {
			tx.Flush(&knftables.Chain{Name: name})
		}
		for _, rule := range c.Rules {
			tx.Add(&knftables.Rule{Chain: name, Rule: rule})
		}
	}
	for _, name := range sorted(r.Maps) {
		r.Maps[name].change(tx, name, old.Maps[name])
	}
	for _, name := range sorted(r.Sets) {
		for _, e := range added(old.Sets[name].Elements, r.Sets[name].Elements) {
			tx.Delete(&knftables.Element{Set: name, Key: key(e)})
		}
	}
	r.remove(tx, old)
	return tx.NumOperations() > before
}

// Stamped returns r with a number for its state, which has to be another one for each change. What a connection has been allowed
// in another state does not count, neither in one before nor in one of another agent. The number has 30 bits.
func (r *Ruleset) Stamped(number uint32) *Ruleset {
	if r == nil {
		return nil
	}
	// No connection without a mark has these, and hardly one that others mark.
	mark := 1<<31 | number<<1
	sent, received := fmt.Sprintf("0x%08x", mark), fmt.Sprintf("0x%08x", mark|1)
	out := &Ruleset{Chains: r.Chains, Sets: maps.Clone(r.Sets), Maps: maps.Clone(r.Maps), local: r.local}
	marks := func(set, by, mark string, elements ...string) {
		out.Sets[set] = Set{Type: r.Sets[set].Type, Size: r.Sets[set].Size, Elements: map[string]bool{}}
		for _, e := range elements {
			out.Sets[set].Elements[e] = true
		}
		out.Maps[by] = Map{Type: r.Maps[by].Type, Elements: map[string]string{judged: mark}}
	}
	marks(sentSet, sentMap, sent, sent, received) // who has received it has been sent it
	marks(receivedSet, receivedMap, received, received)
	return out
}

// ElementChange is a change to one set or map.
type ElementChange struct {
	Set    string
	Delete bool
	// Elements are the keys; "A . B" for one of two parts.
	Elements []string
	// Values are those of a map. It is nil for a set, and empty for what is deleted.
	Values []string
}

// Elements returns what makes a table that is as old says what r says, in order, if elements are all that is different.
func (r *Ruleset) Elements(old *Ruleset) (changes []ElementChange, ok bool) {
	same := maps.EqualFunc(r.Chains, old.Chains, Chain.equal) &&
		maps.EqualFunc(r.Sets, old.Sets, func(a, b Set) bool { return a.Type == b.Type }) &&
		maps.EqualFunc(r.Maps, old.Maps, func(a, b Map) bool { return a.Type == b.Type })
	if !same {
		return nil, false
	}
	change := func(c ElementChange) {
		if len(c.Elements) > 0 {
			changes = append(changes, c)
		}
	}
	for _, name := range sorted(r.Sets) {
		change(ElementChange{Set: name, Elements: added(r.Sets[name].Elements, old.Sets[name].Elements)})
	}
	for _, name := range sorted(r.Maps) {
		gone, come := r.Maps[name].changes(old.Maps[name])
		change(ElementChange{Set: name, Delete: true, Elements: gone, Values: []string{}})
		values := []string{}
		for _, e := range come {
			values = append(values, r.Maps[name].Elements[e])
		}
		change(ElementChange{Set: name, Elements: come, Values: values})
	}
	for _, name := range sorted(r.Sets) {
		change(ElementChange{Set: name, Delete: true, Elements: added(old.Sets[name].Elements, r.Sets[name].Elements)})
	}
	return changes, true
}

func (c Chain) equal(o Chain) bool {
	return c.Hook == o.Hook && c.Priority == o.Priority && c.Comment == o.Comment && slices.Equal(c.Rules, o.Rules)
}

func (r *Ruleset) create(tx *knftables.Transaction, old *Ruleset) {
	for _, name := range sorted(r.Sets) {
		if _, ok := old.Sets[name]; !ok {
			s := &knftables.Set{Name: name, Type: r.Sets[name].Type}
			if size := r.Sets[name].Size; size > 0 {
				s.Size = &size
			}
			if forgets := r.Sets[name].Forgets; forgets > 0 {
				s.Flags, s.Timeout = []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag}, &forgets
			}
			tx.Add(s)
		}
	}
	for _, name := range sorted(r.Chains) {
		if _, ok := old.Chains[name]; ok {
			continue
		}
		c := r.Chains[name]
		chain := &knftables.Chain{Name: name}
		if c.Comment != "" {
			chain.Comment = &c.Comment
		}
		if c.Hook != "" {
			chain.Type, chain.Hook, chain.Priority = knftables.PtrTo(knftables.FilterType), &c.Hook, &c.Priority
		}
		tx.Add(chain)
	}
	for _, name := range sorted(r.Maps) {
		if _, ok := old.Maps[name]; !ok {
			tx.Add(&knftables.Map{Name: name, Type: r.Maps[name].Type})
		}
	}
}

// remove deletes what is not in r. Chains are emptied first, as they may refer to each other.
func (r *Ruleset) remove(tx *knftables.Transaction, old *Ruleset) {
	gone := added(old.Chains, r.Chains)
	for _, name := range gone {
		tx.Flush(&knftables.Chain{Name: name})
	}
	for _, name := range gone {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range added(old.Sets, r.Sets) {
		tx.Delete(&knftables.Set{Name: name})
	}
}

func (m Map) change(tx *knftables.Transaction, name string, old Map) {
	gone, come := m.changes(old)
	for _, e := range gone {
		tx.Delete(&knftables.Element{Map: name, Key: key(e)})
	}
	for _, e := range come {
		tx.Add(&knftables.Element{Map: name, Key: key(e), Value: []string{m.Elements[e]}})
	}
}

// changes are the keys to delete from old and those to add then, to get m. One with another verdict is in both.
func (m Map) changes(old Map) (gone, come []string) {
	for e, verdict := range old.Elements {
		if now, ok := m.Elements[e]; !ok || now != verdict {
			gone = append(gone, e)
		}
	}
	for e, verdict := range m.Elements {
		if was, ok := old.Elements[e]; !ok || was != verdict {
			come = append(come, e)
		}
	}
	slices.Sort(gone)
	slices.Sort(come)
	return gone, come
}

func key(element string) []string { return strings.Split(element, " . ") }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// added are the keys of a that b does not have.
func added[V any](a, b map[string]V) (list []string) {
	for k := range a {
		if _, ok := b[k]; !ok {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list
}
