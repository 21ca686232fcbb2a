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
	// By is the rule that decides; its policy is empty if none does: because a NetworkPolicy isolates the pod and none allows the packet,
	// because no rule is about it, or because a pod always reaches itself.
	By Source
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
		w := walk{Ruleset: r, direction: d.direction, packet: p}
		if err := w.chain(profile); err != nil {
			return nil, err
		}
		list = append(list, Judgement{Egress: d.name == egressMap, Policies: r.Chains[profile].Of, Allowed: !w.denied, By: w.by})
	}
	return list, nil
}

// walk is the way of a packet through the chains of one direction.
type walk struct {
	*Ruleset
	direction
	packet Packet
	// allowed says that it has got its mark, denied that it was dropped; left that no rule sees it any more.
	allowed, denied, left bool
	// by is the first rule of a policy that has decided.
	by Source
}

// chain follows the packet until it leaves the chain.
func (w *walk) chain(name string) error {
	chain, ok := w.Chains[name]
	if !ok {
		return fmt.Errorf("there is no chain %s", name)
	}
	for i, rule := range chain.Rules {
		match, verb, to, err := parts(rule)
		if err != nil {
			return err
		}
		fits := w.allowed
		if match != "ct mark @"+sentSet {
			if fits, err = w.fits(match, w.packet); err != nil {
				return fmt.Errorf("a policy has the rule %q: %w", rule, err)
			}
		}
		if !fits {
			continue
		}
		if verb == "return" {
			return nil
		}
		if i < len(chain.By) && (to == w.direction.allowed || to == w.direction.denied) && w.by == (Source{}) {
			w.by = chain.By[i]
		}
		if err := w.enter(to); err != nil || w.left || verb == "goto" {
			return err
		}
	}
	return nil
}

// enter follows the packet into a chain.
func (w *walk) enter(name string) error {
	switch name {
	case w.direction.allowed:
		w.allowed = true
		w.left = name == receivedChain // the one of egress only marks
	case w.direction.denied:
		w.denied = w.packet.Source != w.packet.Dest
		w.left = true
	default:
		return w.chain(name)
	}
	return nil
}

// parts splits a rule into what has to match, and where it leads then.
func parts(rule string) (match, verb, to string, err error) {
	words := strings.Fields(rule)
	n := len(words)
	switch {
	case n > 0 && words[n-1] == "return":
		return strings.Join(words[:n-1], " "), "return", "", nil
	case n > 1 && (words[n-2] == "goto" || words[n-2] == "jump"):
		return strings.Join(words[:n-2], " "), words[n-2], words[n-1], nil
	}
	return "", "", "", fmt.Errorf("a policy has the rule %q, which leads nowhere", rule)
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
	return slices.Contains([]string{"ip", "saddr", "daddr", ".", "tcp", "udp", "sctp", "dport", "ct", "original", "proto-dst", "fib", "type"}, word)
}

// compare compares what a packet has for a key with a set ("@name"), a value, or a list of values in braces.
func (r *Ruleset) compare(key string, with []string, p Packet) (bool, error) {
	set, inSet := strings.CutPrefix(with[0], "@")
	elements := r.Sets[set].Elements
	switch protocol, ported := strings.CutSuffix(key, " dport"); {
	case key == "ip saddr" || key == "ip daddr" || key == "ct original ip daddr": // what is judged has no other destination any more
		at := p.Source
		if key != "ip saddr" {
			at = p.Dest
		}
		if inSet {
			return elements[at.String()], nil
		}
		return anyOf(with, func(value string) (bool, error) {
			if one, err := netip.ParseAddr(value); err == nil {
				return one == at, nil
			}
			block, err := netip.ParsePrefix(value)
			return err == nil && block.Contains(at), err
		})
	case key == "fib daddr type" && with[0] == "unicast":
		return !slices.Contains(r.local, p.Dest), nil
	case key == "ct original proto-dst" && !inSet:
		port, err := strconv.ParseUint(with[0], 10, 16)
		return uint64(p.Port) == port, err
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
