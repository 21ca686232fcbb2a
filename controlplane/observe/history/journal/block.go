package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A block is a header, then the changes without their values, then the values, both compressed separately: lists of changes
// need only the former. Numbers in the header are little-endian:
//
//	length of the payload  4   changes and values, compressed
//	checksum               4   of the rest of the header, and of the changes
//	number of changes      4
//	length of the changes  4
//	checksum of the values 4
//	first time, last time  8 each, microseconds
//	revision               8
//
// The changes begin with a table of texts; each change then is: op, key, revision, time, the four texts of its writer, the
// length of its value, and where the value before is. Keys and writers are numbers of texts, revision and time differences
// to those of the change before.
const (
	blockHeaderSize = 4 + 4 + 4 + 4 + 4 + 8 + 8 + 8
	sumOffset       = 4
	valuesSumOffset = 16
	// maxPayload is far more than a block can have; it keeps damaged lengths from being believed.
	maxPayload = 256 << 20
	// maxBlock bounds what a compressed part can decompress to.
	maxBlock = 512 << 20
)

// Where the value before a change is.
const (
	beforeNone  = iota // the object did not exist, or its value is not known
	beforeHere         // in this block, in front of the value after; its length follows
	beforeThere        // its block, offset and length follow
)

func parseBlockHeader(h []byte) (b block, ok bool) {
	size, changes := binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[12:])
	b = block{
		size:    blockHeaderSize + int(size),
		changes: int(changes),
		count:   int(binary.LittleEndian.Uint32(h[8:])),
		first:   time.UnixMicro(int64(binary.LittleEndian.Uint64(h[20:]))), last: time.UnixMicro(int64(binary.LittleEndian.Uint64(h[28:]))),
		revision: int64(binary.LittleEndian.Uint64(h[36:])),
	}
	return b, size <= maxPayload && changes <= size
}

// encodeBlock returns a block as the one of number in its segment, and where in the segment the values are. known are the
// places of the values before.
func encodeBlock(records []Record, revision int64, now time.Time, number int, known map[string]place, enc *zstd.Encoder) ([]byte, block, []place) {
	b := block{count: len(records), first: now, last: now, revision: revision}
	var changes, values []byte
	places := make([]place, len(records))
	if len(records) > 0 {
		b.first, b.last = records[0].Time, records[0].Time
		var texts texts
		here := map[string]place{}
		var body []byte
		lastRevision, lastTime := int64(0), int64(0)
		for i, r := range records {
			if r.Time.Before(b.first) {
				b.first = r.Time
			}
			if r.Time.After(b.last) {
				b.last = r.Time
			}
			body = append(body, byte(r.Op))
			body = binary.AppendUvarint(body, texts.of(r.Key))
			body = binary.AppendVarint(body, r.Revision-lastRevision)
			body = binary.AppendVarint(body, r.Time.UnixMicro()-lastTime)
			lastRevision, lastTime = r.Revision, r.Time.UnixMicro()
			for _, text := range []string{r.Writer.Who, r.Writer.User, r.Writer.Agent, r.Writer.Subresource} {
				body = binary.AppendUvarint(body, texts.of(text))
			}
			body = binary.AppendUvarint(body, uint64(len(r.Value)))
			before, ok := here[r.Key]
			if !ok {
				before, ok = known[r.Key]
			}
			switch {
			case ok && before.length > 0:
				body = append(body, beforeThere)
				body = binary.AppendUvarint(body, uint64(before.block))
				body = binary.AppendUvarint(body, uint64(before.offset))
				body = binary.AppendUvarint(body, uint64(before.length))
			case !ok && len(r.Before) > 0:
				body = append(body, beforeHere)
				body = binary.AppendUvarint(body, uint64(len(r.Before)))
				values = append(values, r.Before...)
			default:
				body = append(body, beforeNone)
			}
			places[i] = place{block: number, offset: len(values), length: len(r.Value)}
			values = append(values, r.Value...)
			here[r.Key] = places[i] // a deleted one has no length: nothing is before what follows
		}
		changes = append(texts.encode(), body...)
	}
	data := make([]byte, blockHeaderSize)
	if len(records) > 0 {
		data = enc.EncodeAll(changes, data)
	}
	b.changes = len(data) - blockHeaderSize
	binary.LittleEndian.PutUint32(data[12:], uint32(b.changes))
	if len(values) > 0 {
		data = enc.EncodeAll(values, data)
	}
	binary.LittleEndian.PutUint32(data, uint32(len(data)-blockHeaderSize))
	binary.LittleEndian.PutUint32(data[8:], uint32(b.count))
	binary.LittleEndian.PutUint32(data[valuesSumOffset:], crc32.Checksum(data[blockHeaderSize+b.changes:], checksums))
	binary.LittleEndian.PutUint64(data[20:], uint64(b.first.UnixMicro()))
	binary.LittleEndian.PutUint64(data[28:], uint64(b.last.UnixMicro()))
	binary.LittleEndian.PutUint64(data[36:], uint64(b.revision))
	binary.LittleEndian.PutUint32(data[sumOffset:], crc32.Checksum(data[sumOffset+4:blockHeaderSize+b.changes], checksums))
	b.size = len(data)
	return data, b, places
}

// texts numbers texts, each once.
type texts struct {
	list    []string
	numbers map[string]uint64
}

func (t *texts) of(text string) uint64 {
	if n, ok := t.numbers[text]; ok {
		return n
	}
	if t.numbers == nil {
		t.numbers = map[string]uint64{}
	}
	n := uint64(len(t.list))
	t.list, t.numbers[text] = append(t.list, text), n
	return n
}

func (t *texts) encode() []byte {
	data := binary.AppendUvarint(nil, uint64(len(t.list)))
	for _, text := range t.list {
		data = binary.AppendUvarint(data, uint64(len(text)))
		data = append(data, text...)
	}
	return data
}

// readChanges returns the changes of a block, compressed; a wrong checksum is ErrDamaged.
func (s *segment) readChanges(b block) ([]byte, error) {
	data := make([]byte, blockHeaderSize+b.changes)
	if _, err := s.file.ReadAt(data, b.offset); err != nil {
		return nil, err
	}
	if crc32.Checksum(data[sumOffset+4:], checksums) != binary.LittleEndian.Uint32(data[sumOffset:]) {
		return nil, damaged("the checksum of changes is wrong")
	}
	return data[blockHeaderSize:], nil
}

// readValues is readChanges for the values.
func (s *segment) readValues(b block) ([]byte, error) {
	data := make([]byte, b.size-blockHeaderSize-b.changes)
	if _, err := s.file.ReadAt(data, b.offset+int64(blockHeaderSize+b.changes)); err != nil {
		return nil, err
	}
	var sum [4]byte
	if _, err := s.file.ReadAt(sum[:], b.offset+valuesSumOffset); err != nil {
		return nil, err
	}
	if crc32.Checksum(data, checksums) != binary.LittleEndian.Uint32(sum[:]) {
		return nil, damaged("the checksum of values is wrong")
	}
	return data, nil
}

func damaged(what string) error { return fmt.Errorf("%w: %s", ErrDamaged, what) }

// decodeChanges reads the changes of the block of number in a segment. values is how many bytes of values they have.
func decodeChanges(data []byte, count, number int) (_ []Entry, values int, err error) {
	r := reader{rest: data}
	texts := make([]string, 0, min(r.length(), len(data)))
	for range cap(texts) {
		texts = append(texts, string(r.bytes(r.length())))
	}
	text := func() string {
		n := r.length()
		if n >= len(texts) {
			r.failed = true
			return ""
		}
		return texts[n]
	}
	entries := make([]Entry, 0, min(count, len(data)))
	revision, micros := int64(0), int64(0)
	for range count {
		if r.failed {
			break
		}
		e := Entry{Op: Op(r.byte()), Key: text()}
		revision, micros = revision+r.varint(), micros+r.varint()
		e.Revision, e.Time = revision, time.UnixMicro(micros)
		e.Writer = Writer{Who: text(), User: text(), Agent: text(), Subresource: text()}
		length := r.length()
		switch r.byte() {
		case beforeHere:
			e.before = place{block: number, offset: values, length: r.length()}
			values += e.before.length
		case beforeThere:
			e.before = place{block: r.length(), offset: r.length(), length: r.length()}
		case beforeNone:
		default:
			r.failed = true
		}
		e.value = place{block: number, offset: values, length: length}
		values += length
		if e.Op < Created || e.Op > Deleted || e.before.block > number || values > maxBlock {
			r.failed = true
		}
		entries = append(entries, e)
	}
	if r.failed || len(r.rest) > 0 {
		return nil, 0, damaged("the changes of a block cannot be read")
	}
	return entries, values, nil
}

// anyText reports whether one of the texts of a block is wanted, or the block cannot be read.
func anyText(data []byte, wanted func([]byte) bool) bool {
	r := reader{rest: data}
	for range r.length() {
		if text := r.bytes(r.length()); r.failed || wanted(text) {
			return true
		}
	}
	return r.failed
}

// reader reads numbers; after a failure all are zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) byte() byte {
	if b := r.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// length reads a number that is small enough to be a length or an index.
func (r *reader) length() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > maxBlock {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
