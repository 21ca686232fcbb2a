package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Packet is the first one of a connection, as rules see it: with the address and port of the pod that is reached.
type Packet struct {
	Source, Dest netip.Addr
	Protocol     Protocol
	Port         uint16
}

// Judgement is what the rules of a node say about a packet in one direction.
type Judgement struct {
	// Egress says that it is about the policies of the source, otherwise about those of the destination.
	Egress bool
	// Policies are those that apply to the pod, in order.
	Policies []Key
	Allowed  bool
	// By is the policy that allows it, or empty if the packet is allowed because a pod always reaches itself.
	By Key
}

// Judge follows a packet through the chains as the kernel does, for both directions. A direction is missing if no policy applies
// there: because there is none, or because the pod is not one of this node, whose rules these are. A nil r judges nothing.
//
// It reads the same text that the kernel gets. What it does not understand is an error, so that nobody adds an expression to
// Compile alone.
func (r *Ruleset) Judge(p Packet) (list []Judgement, err error) {
	if r == nil {
		return nil, nil
	}
	for _, d := range []struct {
		direction
		subject netip.Addr
	}{{egress, p.Source}, {ingress, p.Dest}} {
		verdict, ok := r.Maps[d.name].Elements[d.subject.String()]
		if !ok {
			continue
		}
		profile := strings.TrimPrefix(verdict, "jump ")
		j := Judgement{Egress: d.name == egressMap, Policies: r.Chains[profile].Of}
		if j.By, j.Allowed, err = r.allows(profile, d.direction, p); err != nil {
			return nil, err
		}
		j.Allowed = j.Allowed || p.Source == p.Dest
		list = append(list, j)
	}
	return list, nil
}

// allows reports whether a profile leads to the chain for what is allowed, and by which policy's chain.
func (r *Ruleset) allows(profile string, d direction, p Packet) (by Key, ok bool, err error) {
	for _, rule := range r.Chains[profile].Rules {
		chain, jumps := strings.CutPrefix(rule, "jump ")
		if !jumps {
			continue // the ends of a profile
		}
		for _, rule := range r.Chains[chain].Rules {
			match, to, leads := strings.Cut(" "+rule, " goto ")
			if !leads || to != d.allowed {
				return by, false, fmt.Errorf("a policy has the rule %q, which is not understood", rule)
			}
			fits, err := r.fits(match, p)
			if err != nil {
				return by, false, fmt.Errorf("a policy has the rule %q: %w", rule, err)
			}
			if fits {
				return r.Chains[chain].Of[0], true, nil
			}
		}
	}
	return by, false, nil
}

// fits reports whether all expressions of a rule fit a packet.
func (r *Ruleset) fits(match string, p Packet) (bool, error) {
	fits := true
	words := strings.Fields(match)
	for len(words) > 0 {
		if len(words) >= 3 && words[0] == "meta" && words[1] == "l4proto" {
			fits = fits && words[2] == string(p.Protocol)
			words = words[3:]
			continue
		}
		// The key is up to what it is compared with: a set, "!=", a list or a value.
		n := slices.IndexFunc(words, func(w string) bool { return !isKey(w) })
		if n <= 0 {
			return false, fmt.Errorf("%q is not understood", strings.Join(words, " "))
		}
		key := strings.Join(words[:n], " ")
		not := words[n] == "!="
		if not {
			n++
		}
		if n == len(words) {
			return false, fmt.Errorf("%q is compared with nothing", key)
		}
		end := n + 1
		if words[n] == "{" {
			if end = n + slices.Index(words[n:], "}") + 1; end == n {
				return false, fmt.Errorf("a list of %q has no end", key)
			}
		}
		one, err := r.compare(key, words[n:end], p)
		if err != nil {
			return false, err
		}
		fits = fits && one != not
		words = words[end:]
	}
	return fits, nil
}

func isKey(word string) bool {
	return slices.Contains([]string{"ip", "saddr", "daddr", ".", "tcp", "udp", "sctp", "dport"}, word)
}

// compare compares what a packet has for a key with a set ("@name"), a value, or a list of values in braces.
func (r *Ruleset) compare(key string, with []string, p Packet) (bool, error) {
	set, inSet := strings.CutPrefix(with[0], "@")
	elements := r.Sets[set].Elements
	switch protocol, ported := strings.CutSuffix(key, " dport"); {
	case key == "ip saddr" || key == "ip daddr":
		at := p.Source
		if key == "ip daddr" {
			at = p.Dest
		}
		if inSet {
			return elements[at.String()], nil
		}
		return anyOf(with, func(value string) (bool, error) {
			block, err := netip.ParsePrefix(value)
			return err == nil && block.Contains(at), err
		})
	case ported && strings.HasPrefix(protocol, "ip daddr . ") && inSet:
		return "ip daddr . "+string(p.Protocol) == protocol && elements[fmt.Sprintf("%s . %d", p.Dest, p.Port)], nil
	case ported && slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) && !inSet:
		in, err := anyOf(with, func(value string) (bool, error) {
			first, last, isRange := strings.Cut(value, "-")
			if !isRange {
				last = first
			}
			from, err := strconv.ParseUint(first, 10, 16)
			if err != nil {
				return false, err
			}
			to, err := strconv.ParseUint(last, 10, 16)
			return err == nil && uint64(p.Port) >= from && uint64(p.Port) <= to, err
		})
		return in && protocol == string(p.Protocol), err
	}
	return false, fmt.Errorf("%q is compared with %q", key, strings.Join(with, " "))
}

// anyOf reports whether a value, or one of a list in braces, fits.
func anyOf(values []string, fits func(string) (bool, error)) (found bool, err error) {
	for _, v := range values {
		v = strings.TrimSuffix(v, ",")
		if v == "{" || v == "}" {
			continue
		}
		ok, err := fits(v)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}
