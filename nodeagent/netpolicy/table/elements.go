package table

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"

	"bonsai/nodeagent/netpolicy/rules"
)

const (
	// The kernel answers each message of a batch before the first answer is read. Hundreds of answers do not fit into a socket's
	// usual buffer.
	receiveBuffer = 4 << 20
	// elementsPerMessage keeps the attribute with them below its limit of 64 KiB.
	elementsPerMessage = 500
)

// conn is a connection to the kernel that stays open: closing one makes the kernel finish everything that it does later.
type conn struct {
	nf *nftables.Conn
	nl *netlink.Conn // that of nf
}

func (c *conn) open() (*nftables.Conn, error) {
	if c.nf != nil {
		return c.nf, nil
	}
	var socket *netlink.Conn
	nf, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(nl *netlink.Conn) error {
		socket = nl
		return nl.SetReadBuffer(receiveBuffer)
	}))
	if err != nil {
		return nil, fmt.Errorf("connect to nftables: %w", err)
	}
	c.nf, c.nl = nf, socket
	return nf, nil
}

// failed closes the connection if there is an error, because more answers may be on their way. It returns the error.
func (c *conn) failed(err error) error {
	if err != nil && c.nf != nil {
		_ = c.nf.CloseLasting()
		c.nf, c.nl = nil, nil
	}
	return err
}

// put changes elements, all at once.
func (t *Table) put(ctx context.Context, changes []rules.ElementChange) error {
	if len(changes) == 0 {
		return nil
	}
	c, err := t.conn.open()
	if err != nil {
		return err
	}
	for _, change := range changes {
		if err := add(c, change); err != nil {
			return t.conn.failed(err)
		}
	}
	// The answers are there when the batch has been sent. If not all are, none is waited for longer than for nft.
	deadline, _ := ctx.Deadline()
	if err := t.conn.nl.SetDeadline(deadline); err != nil {
		return t.conn.failed(fmt.Errorf("change elements of sets: %w", err))
	}
	if err := c.Flush(); err != nil {
		return t.conn.failed(fmt.Errorf("change elements of sets: %w", err))
	}
	return t.conn.failed(t.conn.nl.SetDeadline(time.Time{}))
}

// add adds the messages for a change to the batch of c.
func add(c *nftables.Conn, change rules.ElementChange) error {
	set := &nftables.Set{
		Table: &nftables.Table{Family: nftables.TableFamilyIPv4, Name: rules.TableName}, Name: change.Set, IsMap: change.Values != nil,
	}
	send := c.SetAddElements
	if change.Delete {
		send = c.SetDeleteElements
	}
	var list []nftables.SetElement
	for i, element := range change.Elements {
		var e nftables.SetElement
		var err error
		if e.Key, err = keyOf(element); err != nil {
			return err
		}
		if change.Values != nil && !change.Delete {
			chain, leads := strings.CutPrefix(change.Values[i], "jump ")
			if leads {
				e.VerdictData = &expr.Verdict{Kind: expr.VerdictJump, Chain: chain}
			} else if e.Val, err = keyOf(change.Values[i]); err != nil {
				return err
			}
		}
		if list = append(list, e); len(list) == elementsPerMessage || i == len(change.Elements)-1 {
			if err := send(set, list); err != nil {
				return fmt.Errorf("change the set %s: %w", change.Set, err)
			}
			list = nil
		}
	}
	return nil
}

// keyOf is the kernel's form of a key or value. Each part of one with several begins at a multiple of four bytes.
func keyOf(element string) (key []byte, err error) {
	if element == "original" {
		return []byte{0}, nil
	}
	if mark, ok := strings.CutPrefix(element, "0x"); ok {
		n, err := strconv.ParseUint(mark, 16, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is not a mark: %w", element, err)
		}
		return binary.NativeEndian.AppendUint32(nil, uint32(n)), nil
	}
	for part := range strings.SplitSeq(element, " . ") {
		if a, err := netip.ParseAddr(part); err == nil && a.Is4() {
			key = append(key, a.AsSlice()...)
			continue
		}
		port, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an IPv4 address nor a port: %w", part, err)
		}
		key = append(binary.BigEndian.AppendUint16(key, uint16(port)), 0, 0)
	}
	return key, nil
}
