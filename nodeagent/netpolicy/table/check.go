package table

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"bonsai/nodeagent/netpolicy/rules"
)

// Check returns how the table differs from what Apply left, as far as is cheap to read: how many rules it has, and which pods they
// are for. After an error the next Apply replaces the table.
func (t *Table) Check() error {
	if !t.known || t.applied == nil {
		return nil // nothing is to be there, or Apply is about to be called
	}
	if err := t.compare(); err != nil {
		t.known = false
		return t.conn.failed(err)
	}
	return nil
}

func (t *Table) compare() error {
	c, err := t.conn.open()
	if err != nil {
		return err
	}
	// The generation changes with every change of anybody to any table of this network namespace.
	now, err := t.generation()
	if err != nil {
		return err
	}
	if now == t.verified {
		return nil
	}
	want, _ := t.applied.Size()
	have, err := t.count()
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("there are %d rules instead of %d", have, want)
	}
	of := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: rules.TableName}
	for name, m := range t.applied.Maps {
		have, err := c.GetSetElements(&nftables.Set{Table: of, Name: name, IsMap: true})
		if err != nil {
			return fmt.Errorf("read the map %s: %w", name, err)
		}
		if len(have) != len(m.Elements) {
			return fmt.Errorf("map %s has %d elements instead of %d", name, len(have), len(m.Elements))
		}
	}
	t.verified = now
	return nil
}

// generation is the number of the kernel's present rules.
func (t *Table) generation() (uint32, error) {
	reply, err := t.ask(unix.NFT_MSG_GETGEN, 0, unix.NFPROTO_UNSPEC)
	if err != nil {
		return 0, fmt.Errorf("ask for the generation of rules: %w", err)
	}
	for _, m := range reply {
		if len(m.Data) < header {
			continue
		}
		attributes, err := netlink.NewAttributeDecoder(m.Data[header:])
		if err != nil {
			return 0, fmt.Errorf("read the generation of rules: %w", err)
		}
		attributes.ByteOrder = binary.BigEndian
		for attributes.Next() {
			if attributes.Type() == unix.NFTA_GEN_ID {
				return attributes.Uint32(), attributes.Err()
			}
		}
	}
	return 0, errors.New("the kernel does not say which generation of rules it has")
}

// count counts the rules of the table without reading what they are, which github.com/google/nftables cannot do for all of them.
func (t *Table) count() (int, error) {
	reply, err := t.ask(unix.NFT_MSG_GETRULE, netlink.Dump, unix.NFPROTO_IPV4,
		netlink.Attribute{Type: unix.NFTA_RULE_TABLE, Data: append([]byte(rules.TableName), 0)})
	if err != nil {
		return 0, fmt.Errorf("count rules: %w", err)
	}
	return len(reply), nil
}

// header is the length of that of nfnetlink.
const header = 4

// ask sends one message of nftables, and returns the answers.
func (t *Table) ask(kind netlink.HeaderType, flags netlink.HeaderFlags, family byte, attributes ...netlink.Attribute) ([]netlink.Message, error) {
	data, err := netlink.MarshalAttributes(attributes)
	if err != nil {
		return nil, err
	}
	return t.conn.nl.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, data...), // version, and no resource
	})
}
