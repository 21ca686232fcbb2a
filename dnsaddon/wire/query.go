// Package wire is the small part of the DNS wire format (RFC 1035, RFC 6891) that nearly all questions use: one
// question of class IN, perhaps an OPT record, nothing else. It parses such a question and composes the reply from
// parts that were packed beforehand, without a single allocation.
//
// It refuses everything that it does not understand, even if it is legal: Parse returns false, and the caller passes
// the message to a complete DNS library. So Parse may be strict, and never accepts what that library would reject.
//
// Begin reading at Parse, then Append.
package wire

import "encoding/binary"

const (
	// MaxName is the greatest length of a name in wire form, including its final zero byte.
	MaxName = 255
	// MinUDPSize is what every client can receive over UDP, whatever its OPT record says.
	MinUDPSize = 512
	// UDPSize is the largest message that is sent, and announced as acceptable, over UDP: it passes through every usual
	// network in one piece (DNS flag day 2020).
	UDPSize = 1232

	headerLen = 12
	optLen    = 11 // without options

	typeOPT = 41
	// Types from metaFirst to metaLast do not ask for records of that type, but for something else: transfers, ANY,
	// keys.
	metaFirst, metaLast = 128, 255
	classIN             = 1

	bitQR, bitAA, bitRD = 0x80, 0x04, 0x01 // of the header's third byte
	bitAD, bitCD        = 0x20, 0x10       // of its fourth
	bitDO               = 0x8000           // of the OPT record's flags
)

// Query is a plain question. Its slices point into the message and into the buffer that Parse was given.
type Query struct {
	ID         uint16
	RD, CD, AD bool
	// Name is the name in wire form as it was asked, with the final zero byte, in the client's case.
	Name []byte
	// Folded is Name in lower case.
	Folded []byte
	Type   uint16 // the class is IN

	HasOPT bool
	// UDPSize is the client's value as sent; MaxUDP interprets it.
	UDPSize uint16
	DO      bool
}

// MaxUDP is the maximum length of a reply over UDP.
func (q *Query) MaxUDP() int {
	if !q.HasOPT {
		return MinUDPSize
	}
	return min(max(int(q.UDPSize), MinUDPSize), UDPSize)
}

// Parse fills q from msg; fold must have MaxName bytes. False means that msg is not a plain question: it has compressed
// names, other sections, an unusual flag, opcode, class, or type, EDNS options or version, or is malformed. q is
// undefined then.
func Parse(msg, fold []byte, q *Query) bool {
	if len(msg) < headerLen+1+4 || len(fold) < MaxName {
		return false
	}
	// Opcode QUERY and only the flags RD, AD and CD; one question, no answers, no authority, at most one more record.
	if msg[2]&^bitRD != 0 || msg[3]&^(bitAD|bitCD) != 0 ||
		binary.BigEndian.Uint32(msg[4:]) != 1<<16 || msg[8]|msg[9]|msg[10] != 0 || msg[11] > 1 {
		return false
	}
	end := nameEnd(msg, headerLen)
	if end == 0 || len(msg) < end+4 {
		return false
	}
	q.ID = binary.BigEndian.Uint16(msg)
	q.RD, q.AD, q.CD = msg[2]&bitRD != 0, msg[3]&bitAD != 0, msg[3]&bitCD != 0
	q.Name = msg[headerLen:end]
	q.Type = binary.BigEndian.Uint16(msg[end:])
	if q.Type == typeOPT || q.Type >= metaFirst && q.Type <= metaLast ||
		binary.BigEndian.Uint16(msg[end+2:]) != classIN {
		return false
	}
	if !q.parseOPT(msg[end+4:], msg[11] == 1) {
		return false
	}
	q.Folded = fold[:len(q.Name)]
	for i, c := range q.Name {
		// Label lengths are below 'A' and do not change.
		if c-'A' < 26 {
			c |= 0x20
		}
		q.Folded[i] = c
	}
	return true
}

// parseOPT parses what follows the question: an OPT record without options if one is expected, nothing otherwise.
func (q *Query) parseOPT(rest []byte, want bool) bool {
	q.HasOPT, q.UDPSize, q.DO = want, 0, false
	if !want {
		return len(rest) == 0
	}
	if len(rest) != optLen || rest[0] != 0 || binary.BigEndian.Uint16(rest[1:]) != typeOPT ||
		rest[5]|rest[6] != 0 || rest[9]|rest[10] != 0 { // extended rcode, version; length of options
		return false
	}
	flags := binary.BigEndian.Uint16(rest[7:])
	q.UDPSize, q.DO = binary.BigEndian.Uint16(rest[3:]), flags&bitDO != 0
	return flags&^bitDO == 0
}

// nameEnd is where the uncompressed name that begins at off ends, or 0 if there is none.
func nameEnd(msg []byte, off int) int {
	limit := min(len(msg), off+MaxName)
	for off < limit {
		n := int(msg[off])
		if n == 0 {
			return off + 1
		}
		if n > 63 { // a pointer, or reserved
			return 0
		}
		off += 1 + n
	}
	return 0
}
