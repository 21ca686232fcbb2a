package wire

import "encoding/binary"

// Packed is an answer in wire form, ready for Append. The owner of each answer is a pointer to the name in the
// question, 0xC00C, so that one Packed serves clients with any spelling.
type Packed struct {
	Rcode uint8
	// Answer is Count whole records. If RRSize is greater than 0, each is that long, and their order may be rotated.
	Answer []byte
	Count  int
	RRSize int
	// SOA is the record for the authority section of negative answers, with uncompressed names; nil for none.
	SOA []byte
}

// Append composes the whole reply to q after dst: the header, the question in the client's spelling, p's answer
// beginning with record number rotate, its authority, and an OPT record if the client sent one. If the message would be
// longer than max, ok is false and nothing is appended: the caller has to truncate it by other means.
func Append(dst []byte, q *Query, p Packed, rotate int, aa bool, max int) (out []byte, ok bool) {
	size := headerLen + len(q.Name) + 4 + len(p.Answer) + len(p.SOA)
	authority, additional := byte(0), byte(0)
	if p.SOA != nil {
		authority = 1
	}
	if q.HasOPT {
		size += optLen
		additional = 1
	}
	if size > max {
		return dst, false
	}
	flags, flags2 := byte(bitQR), p.Rcode
	if aa {
		flags |= bitAA
	}
	if q.RD {
		flags |= bitRD
	}
	if q.CD {
		flags2 |= bitCD
	}
	dst = append(dst, byte(q.ID>>8), byte(q.ID), flags, flags2,
		0, 1, byte(p.Count>>8), byte(p.Count), 0, authority, 0, additional)
	dst = append(dst, q.Name...)
	dst = append(dst, byte(q.Type>>8), byte(q.Type), 0, classIN)
	if p.RRSize > 0 && p.Count > 1 {
		first := int(uint(rotate)%uint(p.Count)) * p.RRSize
		dst = append(dst, p.Answer[first:]...)
		dst = append(dst, p.Answer[:first]...)
	} else {
		dst = append(dst, p.Answer...)
	}
	dst = append(dst, p.SOA...)
	if q.HasOPT {
		dst = AppendOPT(dst, q.DO)
	}
	return dst, true
}

// AppendOPT appends the OPT record of a reply: our own UDP size, the client's DO bit, no options.
func AppendOPT(dst []byte, do bool) []byte {
	flags := byte(0)
	if do {
		flags = bitDO >> 8
	}
	dst = append(dst, 0, 0, typeOPT)
	dst = binary.BigEndian.AppendUint16(dst, UDPSize)
	return append(dst, 0, 0, flags, 0, 0, 0)
}
