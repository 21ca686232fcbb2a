package loadbalancer

import (
	"cmp"
	"hash/fnv"
	"net/netip"
	"slices"
)

// candidate is a node whose agent answers.
type candidate struct {
	name string
	// ready says that its kubelet says so, too.
	ready bool
}

// place decides which node announces which address. Addresses stay where they are if they can; others go to the node that has
// the fewest. pods returns the nodes with ready pods of some Services.
//
// A node that is not ready, or has no pod of a Service that needs one, is better than none: it refuses connections, or its
// kubelet is merely slow.
func place(list []address, nodes []candidate, now map[netip.Addr]string, pods func(services []string) map[string]bool) map[netip.Addr]string {
	then, load := map[netip.Addr]string{}, map[string]int{}
	fit := func(a address) map[string]bool {
		best, fitting := -1, map[string]bool{}
		with := map[string]bool(nil)
		if a.local {
			with = pods(a.services)
		}
		for _, n := range nodes {
			rank := 0
			if n.ready {
				rank++
			}
			if with[n.name] {
				rank += 2
			}
			if rank > best {
				best, fitting = rank, map[string]bool{}
			}
			if rank == best {
				fitting[n.name] = true
			}
		}
		return fitting
	}
	var homeless []address
	choices := map[netip.Addr]map[string]bool{}
	for _, a := range list {
		choices[a.Addr] = fit(a)
		if have := now[a.Addr]; choices[a.Addr][have] {
			then[a.Addr] = have
			load[have]++
			continue
		}
		homeless = append(homeless, a)
	}
	for _, a := range homeless {
		names := []string{}
		for n := range choices[a.Addr] {
			names = append(names, n)
		}
		if len(names) == 0 {
			if have := now[a.Addr]; have != "" {
				then[a.Addr] = have // nobody can take it over
			}
			continue
		}
		best := slices.MinFunc(names, func(x, y string) int {
			return cmp.Or(cmp.Compare(load[x], load[y]), cmp.Compare(score(a.Addr, x), score(a.Addr, y)), cmp.Compare(x, y))
		})
		then[a.Addr] = best
		load[best]++
	}
	return then
}

// score spreads addresses over nodes that have equally many, always in the same way.
func score(a netip.Addr, node string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(a.AsSlice())
	_, _ = h.Write([]byte(node))
	return h.Sum64()
}
