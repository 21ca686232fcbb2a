package journal

import (
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Entry is a recorded change without its values, which Value and Before of the View read.
type Entry struct {
	Key      string
	Revision int64
	Time     time.Time
	Op       Op
	Writer   Writer

	segment       *segment
	value, before place
}

// keptBlocks is how many blocks' values a View keeps decompressed: neighbours in a list are often of one block.
const keptBlocks = 8

// View reads the journal as it is while Read runs.
type View struct {
	j   *Journal
	dec *zstd.Decoder
	// text is where the changes of blocks are decompressed.
	text []byte
	// blocks are the values of the blocks that were read last, the newest at the end.
	blocks []values
}

type values struct {
	segment *segment
	block   int
	data    []byte
}

// Read calls f with a view of the journal; Append waits meanwhile. It returns f's error.
func (j *Journal) Read(f func(*View) error) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return err
	}
	defer dec.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	return f(&View{j: j, dec: dec})
}

// Whole returns since when everything is recorded, without a gap: the zero time if nothing is.
func (v *View) Whole() time.Time {
	if v.j.broken {
		return time.Time{}
	}
	begun := time.Time{}
	for _, s := range slices.Backward(v.j.segments) {
		begun = s.begun
		if !s.joined {
			break
		}
	}
	return begun
}

// Gaps returns when recording went on after changes may have been missed, the newest first.
func (v *View) Gaps() (gaps []time.Time) {
	for i, s := range slices.Backward(v.j.segments) {
		if i > 0 && !s.joined {
			gaps = append(gaps, s.begun)
		}
	}
	return gaps
}

// Backward calls f with the changes that are not older than since, from the newest to the oldest, until f returns false. If wanted is
// not nil, changes of keys that it does not want may be missing: it spares reading blocks that have none that it does want, and may
// be asked about texts that are not keys. A damaged block is ErrDamaged, after all that is newer.
func (v *View) Backward(since time.Time, wanted func(key []byte) bool, f func(Entry) bool) error {
	since = since.Truncate(time.Microsecond)
	for _, s := range slices.Backward(v.j.segments) {
		for i, b := range slices.Backward(s.blocks) {
			if b.count == 0 || b.last.Before(since) {
				continue
			}
			entries, err := v.changes(s, i, wanted)
			if err != nil {
				return err
			}
			for _, e := range slices.Backward(entries) {
				if !e.Time.Before(since) && !f(e) {
					return nil
				}
			}
		}
	}
	return nil
}

// changes reads the changes of a block, or none of them if no key in it is wanted.
func (v *View) changes(s *segment, number int, wanted func(key []byte) bool) ([]Entry, error) {
	b := s.blocks[number]
	packed, err := s.readChanges(b)
	if err != nil {
		return nil, err
	}
	if v.text, err = v.dec.DecodeAll(packed, v.text[:0]); err != nil {
		return nil, damaged(err.Error())
	}
	if wanted != nil && !anyText(v.text, wanted) {
		return nil, nil
	}
	entries, _, err := decodeChanges(v.text, b.count, number)
	for i := range entries {
		entries[i].segment = s
	}
	return entries, err
}

// Value returns the object after a change; nil if it was deleted. It is valid until Read ends, and must not be changed.
func (v *View) Value(e Entry) ([]byte, error) { return v.at(e.segment, e.value) }

// Before returns the object before a change, as Value does; nil if it did not exist, or is not known.
func (v *View) Before(e Entry) ([]byte, error) { return v.at(e.segment, e.before) }

func (v *View) at(s *segment, p place) ([]byte, error) {
	if p.length == 0 {
		return nil, nil
	}
	data, err := v.values(s, p.block)
	if err != nil {
		return nil, err
	}
	if p.offset+p.length > len(data) {
		return nil, damaged("a value is beyond the end of its block")
	}
	return data[p.offset : p.offset+p.length], nil
}

func (v *View) values(s *segment, number int) ([]byte, error) {
	for i, b := range v.blocks {
		if b.segment == s && b.block == number {
			v.blocks = append(slices.Delete(v.blocks, i, i+1), b)
			return b.data, nil
		}
	}
	if number >= len(s.blocks) {
		return nil, damaged("a block is missing")
	}
	packed, err := s.readValues(s.blocks[number])
	if err != nil {
		return nil, err
	}
	unpacked, err := v.dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, damaged(err.Error())
	}
	if len(v.blocks) == keptBlocks {
		v.blocks = slices.Delete(v.blocks, 0, 1)
	}
	v.blocks = append(v.blocks, values{s, number, unpacked})
	return unpacked, nil
}
