package loadbalancer

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
)

// claim is what a Service needs of an address.
type claim struct {
	key   string // namespace/name
	ports []cluster.AnnouncedPort
	// wanted is the address that it requests; the zero Addr if any will do.
	wanted netip.Addr
	// has is the address in its status.
	has netip.Addr
	// sharing is the key by which Services share an address; empty if it shares none.
	sharing string
	// local says that only its own pods' nodes take its traffic; pods are then which ones these are.
	local bool
	pods  string
}

// ledger knows which Service has which address. It is pure; its owner serialises the calls.
type ledger struct {
	pool   []cluster.AddressRange
	owners map[netip.Addr][]claim // never empty
	of     map[string]netip.Addr  // by key
}

func newLedger(pool []cluster.AddressRange) *ledger {
	return &ledger{pool: pool, owners: map[netip.Addr][]claim{}, of: map[string]netip.Addr{}}
}

// errExhausted says that every address is in use.
var errExhausted = errors.New("no address is free")

// give returns the address for a Service: the one that it has, if that still fits, or another one. On error it has what it had.
func (l *ledger) give(c claim) (netip.Addr, error) {
	a, err := l.choose(c)
	if err != nil {
		return a, err
	}
	l.release(c.key)
	l.of[c.key] = a
	l.owners[a] = append(l.owners[a], c)
	return a, nil
}

func (l *ledger) choose(c claim) (netip.Addr, error) {
	if c.wanted.IsValid() {
		if !l.has(c.wanted) {
			return c.wanted, fmt.Errorf("the requested address %s is not one of the addresses of load balancers, %s", c.wanted, rangesText(l.pool))
		}
		if err := l.fits(c, c.wanted); err != nil {
			return c.wanted, fmt.Errorf("the requested address %s is in use %w", c.wanted, err)
		}
		return c.wanted, nil
	}
	for _, have := range []netip.Addr{l.of[c.key], c.has} {
		if l.has(have) && l.fits(c, have) == nil {
			return have, nil
		}
	}
	if c.sharing != "" {
		for _, a := range slices.SortedFunc(maps.Keys(l.owners), netip.Addr.Compare) {
			if l.fits(c, a) == nil {
				return a, nil
			}
		}
	}
	for _, r := range l.pool {
		for a := r.First; r.Contains(a); a = a.Next() {
			if l.fits(c, a) == nil {
				return a, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: all %d of %s are in use", errExhausted, l.size(), rangesText(l.pool))
}

func (l *ledger) has(a netip.Addr) bool {
	return slices.ContainsFunc(l.pool, func(r cluster.AddressRange) bool { return r.Contains(a) })
}

func (l *ledger) size() (n int) {
	for _, r := range l.pool {
		n += r.Size()
	}
	return n
}

// used is how many addresses Services have.
func (l *ledger) used() int { return len(l.owners) }

// fits returns why a Service cannot have an address besides those that have it: as MetalLB, they share a key and no port, and
// the same nodes take the traffic of all of them.
func (l *ledger) fits(c claim, a netip.Addr) error {
	for _, o := range l.owners[a] {
		if o.key == c.key {
			continue
		}
		switch {
		case c.sharing == "" || o.sharing == "":
			return fmt.Errorf("by Service %s, and they do not both have the annotation %s", o.key, SharingAnnotation)
		case c.sharing != o.sharing:
			return fmt.Errorf("by Service %s, with another value of the annotation %s", o.key, SharingAnnotation)
		case c.local != o.local || c.local && c.pods != o.pods:
			return fmt.Errorf("by Service %s, and they do not have the same externalTrafficPolicy, or with Local the same selector", o.key)
		}
		for _, p := range c.ports {
			if slices.Contains(o.ports, p) {
				return fmt.Errorf("by Service %s, which has port %d/%s, too", o.key, p.Port, p.Protocol)
			}
		}
	}
	return nil
}

// release takes the address of a Service back and reports whether it had one.
func (l *ledger) release(key string) bool {
	a, had := l.of[key]
	if !had {
		return false
	}
	delete(l.of, key)
	rest := slices.DeleteFunc(slices.Clone(l.owners[a]), func(o claim) bool { return o.key == key })
	if len(rest) == 0 {
		delete(l.owners, a)
	} else {
		l.owners[a] = rest
	}
	return true
}

// address is what the owners of an address need together.
type address struct {
	netip.Addr
	ports []cluster.AnnouncedPort
	// local says that only nodes with pods of services may announce it.
	local    bool
	services []string
}

// addresses are all that are in use, in order.
func (l *ledger) addresses() (list []address) {
	for _, a := range slices.SortedFunc(maps.Keys(l.owners), netip.Addr.Compare) {
		one := address{Addr: a}
		for _, o := range l.owners[a] {
			one.ports = append(one.ports, o.ports...)
			one.local = one.local || o.local
			one.services = append(one.services, o.key)
		}
		slices.SortFunc(one.ports, cluster.AnnouncedPort.Compare)
		slices.Sort(one.services)
		list = append(list, one)
	}
	return list
}

func rangesText(pool []cluster.AddressRange) string {
	var parts []string
	for _, r := range pool {
		parts = append(parts, r.String())
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}
