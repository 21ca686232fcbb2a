// Package catalog answers for every name of an addon that a user may type: those that this version of bonsai has, and
// those that are known from minikube, with what became of them. It also determines which addons have to be enabled and
// disabled together.
//
// It is light, so that the command line can use it without linking the addons themselves. Begin reading at New.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/nearmiss"
)

// Catalog is what this version of bonsai knows about addons. It is immutable.
type Catalog struct {
	here map[string]cluster.AddonDescription
	// order has the names of here, each after those that it needs.
	order []string
}

// New returns a catalog of the available addons. It only fails on bugs in this version: two addons of the same name, a
// dependency that does not exist, addons that need each other in a cycle.
func New(here []cluster.AddonDescription) (*Catalog, error) {
	c := &Catalog{here: map[string]cluster.AddonDescription{}}
	for _, d := range here {
		if _, twice := c.here[d.Name]; twice || d.Name == "" {
			return nil, fmt.Errorf("two addons are named %q", d.Name)
		}
		c.here[d.Name] = d
	}
	names := make([]string, 0, len(here))
	for name := range c.here {
		names = append(names, name)
	}
	slices.Sort(names) // equal orders in every process
	visited := map[string]bool{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if slices.Contains(path, name) {
			return fmt.Errorf("addons need each other in a cycle: %s", strings.Join(append(path, name), " needs "))
		}
		if visited[name] {
			return nil
		}
		path = append(path, name)
		for _, need := range c.here[name].Needs {
			if _, ok := c.here[need]; !ok {
				return fmt.Errorf("addon %s needs %q, which does not exist", name, need)
			}
			if err := visit(need, path); err != nil {
				return err
			}
		}
		visited[name] = true
		c.order = append(c.order, name)
		return nil
	}
	for _, name := range names {
		if err := visit(name, nil); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Here lists the addons of this version, each after those that it needs.
func (c *Catalog) Here() []cluster.AddonDescription {
	list := make([]cluster.AddonDescription, 0, len(c.order))
	for _, name := range c.order {
		list = append(list, c.here[name])
	}
	return list
}

// Elsewhere lists the known names that are not available, by name.
func (c *Catalog) Elsewhere() []Entry {
	list := slices.DeleteFunc(elsewhere(), func(e Entry) bool { _, here := c.here[e.Name]; return here })
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Find returns the addon of a name, or the fault AddonNotFound with what became of it or with the nearest name.
func (c *Catalog) Find(name string) (cluster.AddonDescription, error) {
	if d, ok := c.here[name]; ok {
		return d, nil
	}
	for _, e := range c.Elsewhere() {
		if e.Name == name {
			return cluster.AddonDescription{}, c.explain(e)
		}
	}
	f := fault.Newf(fault.AddonNotFound, "unknown addon %q", name)
	if like := c.nearest(name); like != "" {
		return cluster.AddonDescription{}, f.Advisef("did you mean %s?", like)
	}
	return cluster.AddonDescription{}, f.Advise("see them all", cluster.Bonsai("addons", "list").With("--all").OfNone())
}

// explain is the answer for a name that is known but not available.
func (c *Catalog) explain(e Entry) error {
	f := fault.Newf(fault.AddonNotFound, "addon %s %s", e.Name, e.Story())
	if _, here := c.here[e.By]; here {
		f.Advise("", cluster.Bonsai("addons", "enable").On(e.By).Change())
	}
	f.Advice = append(f.Advice, e.Instead...)
	if len(f.Advice) == 0 {
		f.Advise("list the addons", cluster.Bonsai("addons", "list"))
	}
	return f
}

// nearest is the known name that was probably meant.
func (c *Catalog) nearest(name string) string {
	names := slices.Clone(c.order)
	for _, e := range c.Elsewhere() {
		names = append(names, e.Name)
	}
	return nearmiss.Nearest(name, names)
}

// Wanted returns for every available addon whether a cluster should have it: the user's choice, or the default.
func (c *Catalog) Wanted(chosen map[string]bool) map[string]bool {
	wanted := map[string]bool{}
	for name, d := range c.here {
		enabled, ok := chosen[name]
		wanted[name] = ok && enabled || !ok && d.Default
	}
	return wanted
}

// Idle returns the status of every available addon for a cluster without a daemon; spec is nil if there is no cluster.
func (c *Catalog) Idle(spec *cluster.Spec) []cluster.AddonStatus {
	var list []cluster.AddonStatus
	for _, d := range c.Here() {
		list = append(list, cluster.AddonStatus{AddonDescription: d})
	}
	if spec == nil {
		return list
	}
	wanted := c.Wanted(spec.Addons)
	for i := range list {
		a := &list[i]
		a.Values = spec.AddonValues[a.Name]
		if a.Enabled, a.State = wanted[a.Name], cluster.AddonDisabled; a.Enabled {
			a.State = cluster.AddonStopped
		}
	}
	return list
}

// NeededBy are the addons that the named ones need, directly or not, without the named ones, each after its own
// dependencies.
func (c *Catalog) NeededBy(names ...string) []string {
	return c.closure(names, func(of string) []string { return c.here[of].Needs })
}

// Needing are those of the wanted addons that need a named one, directly or not, without the named ones; each before
// its own dependencies, so that they can be removed in this order.
func (c *Catalog) Needing(wanted map[string]bool, names ...string) []string {
	list := c.closure(names, func(of string) (by []string) {
		for name, d := range c.here {
			if wanted[name] && slices.Contains(d.Needs, of) {
				by = append(by, name)
			}
		}
		return by
	})
	slices.Reverse(list)
	return list
}

// closure is everything that next leads to from names, without these, in the catalog's order.
func (c *Catalog) closure(names []string, next func(string) []string) []string {
	reached := map[string]bool{}
	for queue := slices.Clone(names); len(queue) > 0; {
		var more []string
		for _, name := range queue {
			for _, n := range next(name) {
				if !reached[n] {
					reached[n] = true
					more = append(more, n)
				}
			}
		}
		queue = more
	}
	var list []string
	for _, name := range c.order {
		if reached[name] && !slices.Contains(names, name) {
			list = append(list, name)
		}
	}
	return list
}
