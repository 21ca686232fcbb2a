// Package table brings rules of NetworkPolicies into the kernel: it keeps one table of nftables as package rules says.
//
// What changes with pods is elements of sets and maps. These go to the kernel directly (elements.go), which takes less than a
// millisecond; chains and rules are text for nft, which takes ten times as long to begin. Either is one transaction. Whether
// somebody else has changed the table is asked of the kernel's generation first (check.go), because that costs next to nothing.
//
// A Table acts on the network namespace of the thread that calls Apply first.
package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/google/nftables"
	"sigs.k8s.io/knftables"

	"bonsai/nodeagent/netpolicy/rules"
)

// Table is the table in the kernel. Its methods are for one goroutine, except Drops.
type Table struct {
	nft  knftables.Interface // nil until it is needed
	conn conn
	// known says that the table is what was applied last, nil for none.
	known   bool
	applied *rules.Ruleset
	// number is that of what was applied last.
	number uint32
	// verified is the kernel's generation in which the table was last seen to be so; 0 for none.
	verified uint32
}

// New returns the table of this node. It does nothing yet.
func New() *Table { return &Table{number: rand.Uint32()} }

// Apply makes the table what next says, nil for none. It reports whether it had to do anything. The first time, and after a failure,
// it replaces the whole table; otherwise it changes what is different. Everything happens at once or not at all.
func (t *Table) Apply(ctx context.Context, next *rules.Ruleset) (changed bool, err error) {
	switch {
	case t.known && t.applied != nil && next != nil:
		if changed, err := t.change(ctx, next); err == nil {
			return changed, nil
		}
		// Somebody else has changed the table.
	case t.known && t.applied == nil && next == nil:
		return false, nil
	case next == nil:
		there, err := t.exists()
		if err != nil {
			return false, fmt.Errorf("nftables cannot be used on this node: %w", err)
		}
		if !there { // as on almost every start of a node: nft need not run
			t.known, t.applied = true, nil
			return false, nil
		}
	}
	t.known = false
	t.number++
	next = next.Stamped(t.number)
	if err := t.text(ctx, next.Replace); err != nil {
		return false, err
	}
	t.known, t.applied = true, next
	return true, nil
}

// change makes the table, which is as t.applied says, what next says.
func (t *Table) change(ctx context.Context, next *rules.Ruleset) (changed bool, err error) {
	if elements, ok := next.Stamped(t.number).Elements(t.applied); ok && len(elements) == 0 {
		return false, nil
	}
	t.number++
	next = next.Stamped(t.number)
	if elements, ok := next.Elements(t.applied); ok {
		err = t.put(ctx, elements)
	} else {
		err = t.text(ctx, func(tx *knftables.Transaction) { next.Change(tx, t.applied) })
	}
	if err == nil {
		t.applied = next
	}
	return true, err
}

// text runs nft.
func (t *Table) text(ctx context.Context, fill func(*knftables.Transaction)) (err error) {
	if t.nft == nil {
		if t.nft, err = knftables.New(knftables.IPv4Family, rules.TableName); err != nil {
			return fmt.Errorf("nftables cannot be used on this node: %w", first(err))
		}
	}
	tx := t.nft.NewTransaction()
	fill(tx)
	if err := t.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("set up the rules of NetworkPolicies: %w", first(err))
	}
	return nil
}

// exists reports whether there is a table of that name, whatever is in it.
func (t *Table) exists() (bool, error) {
	c, err := t.conn.open()
	if err != nil {
		return false, err
	}
	_, err = c.ListTableOfFamily(rules.TableName, nftables.TableFamilyIPv4)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, t.conn.failed(err)
}

// first shortens what nft says: it has some lines for each rule that the kernel refuses, which may be thousands.
func first(err error) error {
	const longest = 300
	lines := strings.SplitN(strings.TrimSpace(err.Error()), "\n", 3)
	text := strings.Join(lines[:min(2, len(lines))], ": ")
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	return errors.New(text)
}
