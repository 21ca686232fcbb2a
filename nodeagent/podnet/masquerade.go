package podnet

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	"github.com/google/nftables"
	"sigs.k8s.io/knftables"
)

const (
	tableName = "bonsai"
	chainName = "postrouting"
	setName   = "nodes"
)

// masquerade is the nft table that hides pods behind the node's address when they talk to anything outside the cluster,
// including the API server on the host: only nodes have routes to pods.
type masquerade struct {
	nft              knftables.Interface
	podCIDR, cluster netip.Prefix
}

func newMasquerade(podCIDR, cluster netip.Prefix) (masquerade, error) {
	nft, err := knftables.New(knftables.IPv4Family, tableName)
	if err != nil {
		return masquerade{}, fmt.Errorf("set up nftables: %w", err)
	}
	return masquerade{nft, podCIDR, cluster}, nil
}

// reconcile restores the table if any part of it is missing or the nodes have changed.
func (m masquerade) reconcile(ctx context.Context, nodes []netip.Addr) (changed bool, err error) {
	if m.intact(nodes) {
		return false, nil
	}
	if err := m.nft.Run(ctx, m.transaction(nodes)); err != nil {
		return false, fmt.Errorf("set up masquerading: %w", err)
	}
	return true, nil
}

// rules in order. Both exceptions keep the pod's own address visible where replies can reach it.
func (m masquerade) rules() []string {
	return []string{
		// Traffic of other nodes' pods is handled by those nodes.
		knftables.Concat("ip saddr !=", m.podCIDR, "return"),
		knftables.Concat("ip daddr", m.cluster, "return"),
		knftables.Concat("ip daddr @"+setName, "return"),
		// Also covers traffic to a Service that goes to an endpoint outside the cluster. Random ports prevent
		// collisions between two pods that use the same source port towards the same address.
		"masquerade fully-random",
	}
}

func (m masquerade) transaction(nodes []netip.Addr) *knftables.Transaction {
	tx := m.nft.NewTransaction()
	// Added first, so that it can be deleted whether it exists or not: the whole table is recreated in one transaction.
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{})
	tx.Add(&knftables.Set{Name: setName, Type: "ipv4_addr"})
	for _, n := range nodes {
		tx.Add(&knftables.Element{Set: setName, Key: []string{n.String()}})
	}
	tx.Add(&knftables.Chain{
		Name: chainName, Type: knftables.PtrTo(knftables.NATType),
		Hook: knftables.PtrTo(knftables.PostroutingHook), Priority: knftables.PtrTo(knftables.SNATPriority),
	})
	for _, r := range m.rules() {
		tx.Add(&knftables.Rule{Chain: chainName, Rule: r})
	}
	return tx
}

// intact compares what is cheap to read: the number of rules, and the set's elements. It reads through netlink, because
// it runs every few seconds, and executing nft each time would be most of what an idle node does.
func (m masquerade) intact(nodes []netip.Addr) bool {
	conn, err := nftables.New()
	if err != nil {
		return false
	}
	table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: tableName}
	rules, err := conn.GetRules(table, &nftables.Chain{Table: table, Name: chainName})
	if err != nil || len(rules) != len(m.rules()) {
		return false
	}
	elements, err := conn.GetSetElements(&nftables.Set{Table: table, Name: setName})
	if err != nil {
		return false
	}
	have := map[netip.Addr]bool{}
	for _, e := range elements {
		addr, _ := netip.AddrFromSlice(e.Key)
		have[addr] = true
	}
	want := map[netip.Addr]bool{}
	for _, n := range nodes {
		want[n] = true
	}
	return maps.Equal(have, want)
}
