package announce

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"sigs.k8s.io/knftables"

	"bonsai/bootstrap/cluster"
)

const (
	tableName = "bonsai-announce"
	checkName = "check"
	pingName  = "ping"
	addresses = "addresses"
	ports     = "ports"
)

// rules are the node's nftables rules for announced addresses. They see what kube-proxy has not led to a pod:
//
//   - A port of a Service, which kube-proxy does not know yet: the packet is dropped, so that the client tries again in a moment.
//     Without the rule, connection tracking would remember that this connection leads nowhere.
//   - Any other port is refused as a machine refuses it. Otherwise the node would look for the address on the network, and the
//     client would wait for three seconds.
//   - Pings are answered by the node.
type rules struct {
	nft  knftables.Interface
	node netip.Addr
}

// NewFilter returns the rules of a node with that address; they are not set yet.
func NewFilter(node netip.Addr) (Filter, error) {
	nft, err := knftables.New(knftables.IPv4Family, tableName)
	if err != nil {
		return nil, fmt.Errorf("set up nftables: %w", err)
	}
	return rules{nft, node}, nil
}

// Set implements Filter.
func (r rules) Set(ctx context.Context, list []cluster.AnnouncedAddress) error {
	return r.nft.Run(ctx, r.transaction(list))
}

func (r rules) transaction(list []cluster.AnnouncedAddress) *knftables.Transaction {
	tx := r.nft.NewTransaction()
	// Added first, so that it can be deleted whether it exists or not: the whole table is recreated in one transaction.
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if len(list) == 0 {
		return tx
	}
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Set{Name: addresses, Type: "ipv4_addr"})
	tx.Add(&knftables.Set{Name: ports, Type: "ipv4_addr . inet_proto . inet_service"})
	for _, one := range list {
		tx.Add(&knftables.Element{Set: addresses, Key: []string{one.Address.String()}})
		for _, p := range one.Ports {
			tx.Add(&knftables.Element{Set: ports, Key: []string{one.Address.String(), strings.ToLower(p.Protocol), strconv.Itoa(int(p.Port))}})
		}
	}
	tx.Add(&knftables.Chain{Name: checkName})
	for _, rule := range []string{
		"ip daddr . meta l4proto . th dport @" + ports + " drop",
		"ip daddr @" + addresses + " meta l4proto tcp reject with tcp reset",
		"ip daddr @" + addresses + " meta l4proto { udp, sctp } reject",
	} {
		tx.Add(&knftables.Rule{Chain: checkName, Rule: rule})
	}
	// What others send, and what the node's own programs send.
	for name, hook := range map[string]knftables.BaseChainHook{"forward": knftables.ForwardHook, "output": knftables.OutputHook} {
		tx.Add(&knftables.Chain{Name: name, Type: new(knftables.FilterType), Hook: new(hook), Priority: new(knftables.FilterPriority)})
		tx.Add(&knftables.Rule{Chain: name, Rule: "ip daddr @" + addresses + " jump " + checkName})
	}
	tx.Add(&knftables.Chain{Name: pingName, Type: new(knftables.NATType), Hook: new(knftables.PreroutingHook), Priority: new(knftables.DNATPriority)})
	tx.Add(&knftables.Rule{Chain: pingName, Rule: "ip daddr @" + addresses + " icmp type echo-request dnat to " + r.node.String()})
	return tx
}
