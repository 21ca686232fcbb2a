// Package journal stores what happened to the objects of a cluster in files: appended in blocks, compressed, and bounded by
// size and age.
//
// A folder has segments, which are removed as a whole when they are too old or too many. A segment has everything that is
// needed to show its changes with the values before and after them: the first change of each object brings the value
// before along, later ones refer to the change before. A block that was not written completely is dropped when the
// journal is opened; what was in it is read from etcd again. Values are opaque here: they are what etcd stores.
//
// Begin reading at Journal; block.go has the format of blocks, view.go what can be read.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Op is what happened to an object.
type Op byte

// What can happen to an object.
const (
	Created Op = iota + 1
	Updated
	Deleted
)

// Writer is who changed an object, as far as that is known.
type Writer struct {
	// Who is the client in terms of a user of Kubernetes ("kubectl scale", "kubelet on dev-2").
	Who string
	// User and Agent are those of the request.
	User, Agent string
	// Subresource is the part of the object that the request was for ("status", "scale"); empty for the whole object.
	Subresource string
}

// Record is one change to append.
type Record struct {
	Key      string // of etcd
	Revision int64
	Time     time.Time
	Op       Op
	Writer   Writer
	// Value is the object after the change; nil if it was deleted.
	Value []byte
	// Before is the object before the change; it is used only if Known says so for the key.
	Before []byte
}

// Limits bound a journal.
type Limits struct {
	// Bytes is the size of all files together. It is exceeded by one segment at most.
	Bytes int64
	// Age is how old changes are kept; some are older by an eighth of it.
	Age time.Duration
}

// DefaultLimits keep a working day, or about a million of small changes.
var DefaultLimits = Limits{Bytes: 96 << 20, Age: 24 * time.Hour}

// parts is how many segments fill a journal: the older an eighth, the sooner it goes.
const parts = 8

// A segment begins with a header: magic, time, the revision after which it begins, whether it continues the segment before
// (1) or something may be missing in between (0), and the checksum of these.
const (
	magic      = "bonsaih1"
	headerSize = len(magic) + 8 + 8 + 4 + 4
	suffix     = ".history"
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged means that a part of the journal cannot be read. What is newer can.
var ErrDamaged = errors.New("the history is damaged")

// Journal is an open journal; it is safe for concurrent use. Only one process may have a folder open.
type Journal struct {
	dir    string
	limits Limits
	enc    *zstd.Encoder

	mu       sync.Mutex // guards the rest
	segments []*segment // oldest first
	current  *segment   // the last one, if it was begun by this process; nil: the next Append begins one
	broken   bool       // the next segment does not continue the last one
	position int64
	// known is where the newest value of each object is in the current segment.
	known map[string]place
}

// segment is one file.
type segment struct {
	number   uint64
	file     *os.File
	begun    time.Time
	revision int64
	joined   bool
	blocks   []block
	size     int64
}

// block is where a block is in its segment, and what it has.
type block struct {
	offset      int64
	size        int // with its header
	changes     int // size of the changes
	count       int // of changes
	first, last time.Time
	revision    int64 // everything up to this one is recorded
}

// place is a value in a segment.
type place struct {
	block          int
	offset, length int
}

// Open opens the journal in dir, which is created with mode 0700. The caller closes it.
func Open(dir string, limits Limits) (_ *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Blocks are small, so that small windows lose nothing.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: dir, limits: limits, enc: enc, known: map[string]place{}}
	defer func() {
		if err != nil {
			_ = j.Close()
		}
	}()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries { // in the order of their names
		number, err := strconv.ParseUint(strings.TrimSuffix(e.Name(), suffix), 10, 64)
		if err != nil || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		s, err := openSegment(filepath.Join(dir, e.Name()), number)
		if errors.Is(err, ErrDamaged) { // nothing of it can be read; what follows does not continue what was before
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if last := j.last(); last != nil && (s.number != last.number+1 || s.revision != last.end()) {
			s.joined = false
		}
		j.segments = append(j.segments, s)
	}
	if last := j.last(); last != nil {
		if err := last.dropTornTail(); err != nil {
			return nil, err
		}
		j.position = last.end()
	}
	return j, nil
}

func (j *Journal) last() *segment {
	if len(j.segments) == 0 {
		return nil
	}
	return j.segments[len(j.segments)-1]
}

// openSegment reads where the blocks of a segment are. It stops at the first whose header is not whole.
func openSegment(path string, number uint64) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &segment{number: number, file: f}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *segment) load() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	var h [headerSize]byte
	if _, err := s.file.ReadAt(h[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	sum := headerSize - 4
	if string(h[:len(magic)]) != magic || crc32.Checksum(h[:sum], checksums) != binary.LittleEndian.Uint32(h[sum:]) {
		return fmt.Errorf("%w: %s has no header", ErrDamaged, filepath.Base(s.file.Name()))
	}
	rest := h[len(magic):]
	s.begun = time.UnixMicro(int64(binary.LittleEndian.Uint64(rest)))
	s.revision = int64(binary.LittleEndian.Uint64(rest[8:]))
	s.joined = binary.LittleEndian.Uint32(rest[16:]) == 1
	s.size = int64(headerSize)
	var head [blockHeaderSize]byte
	for s.size+blockHeaderSize <= info.Size() {
		if _, err := s.file.ReadAt(head[:], s.size); err != nil {
			return err
		}
		b, ok := parseBlockHeader(head[:])
		if b.offset = s.size; !ok || b.offset+int64(b.size) > info.Size() {
			break
		}
		s.blocks = append(s.blocks, b)
		s.size += int64(b.size)
	}
	return nil
}

// dropTornTail removes blocks at the end that were not written completely, and all after a damaged one.
func (s *segment) dropTornTail() error {
	for i, b := range s.blocks {
		_, err := s.readChanges(b)
		if err == nil {
			_, err = s.readValues(b)
		}
		if errors.Is(err, ErrDamaged) {
			s.blocks, s.size = s.blocks[:i], b.offset
			break
		}
		if err != nil {
			return err
		}
	}
	return s.file.Truncate(s.size)
}

// end is the revision up to which the segment has everything.
func (s *segment) end() int64 {
	if len(s.blocks) == 0 {
		return s.revision
	}
	return s.blocks[len(s.blocks)-1].revision
}

// Position is the revision of etcd up to which everything is recorded; zero for a new journal.
func (j *Journal) Position() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.position
}

// Newest is the time of the newest change; zero if there is none.
func (j *Journal) Newest() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range slices.Backward(j.segments) {
		for _, b := range slices.Backward(s.blocks) {
			if b.count > 0 {
				return b.last
			}
		}
	}
	return time.Time{}
}

// Known reports whether the value of an object before its next change is in the journal already.
func (j *Journal) Known(key string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.known[key]
	return ok
}

// Break notes that changes may be missing before revision, from which on everything will be recorded.
func (j *Journal) Break(revision int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.endSegment()
	j.broken, j.position = true, revision
}

// endSegment makes the next Append begin a segment. j.mu is held.
func (j *Journal) endSegment() {
	j.current = nil
	clear(j.known)
}

// Append records changes, in their order, and that nothing else has happened up to revision. now decides what is too old.
// If it fails, nothing was recorded.
func (j *Journal) Append(records []Record, revision int64, now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.current == nil {
		if err := j.begin(now); err != nil {
			return fmt.Errorf("begin a file of the history: %w", err)
		}
	}
	s := j.current
	data, b, places := encodeBlock(records, revision, now, len(s.blocks), j.known, j.enc)
	b.offset = s.size
	if _, err := s.file.WriteAt(data, s.size); err != nil {
		return errors.Join(fmt.Errorf("write the history: %w", err), s.file.Truncate(s.size))
	}
	s.blocks, s.size, j.position = append(s.blocks, b), s.size+int64(len(data)), revision
	for i, r := range records {
		if r.Op == Deleted {
			delete(j.known, r.Key)
		} else {
			j.known[r.Key] = places[i]
		}
	}
	// Not before the next changes: what Known says until then has to hold for them.
	if s.size > j.limits.Bytes/parts || now.Sub(s.begun) > j.limits.Age/parts {
		j.endSegment()
	}
	return j.prune(now)
}

// begin creates the next segment. j.mu is held.
func (j *Journal) begin(now time.Time) error {
	s := &segment{number: 1, begun: now, revision: j.position, size: int64(headerSize)}
	if last := j.last(); last != nil {
		s.number, s.joined = last.number+1, !j.broken
	}
	h := append([]byte(magic), make([]byte, headerSize-len(magic))...)
	rest := h[len(magic):]
	binary.LittleEndian.PutUint64(rest, uint64(now.UnixMicro()))
	binary.LittleEndian.PutUint64(rest[8:], uint64(s.revision))
	if s.joined {
		binary.LittleEndian.PutUint32(rest[16:], 1)
	}
	binary.LittleEndian.PutUint32(h[headerSize-4:], crc32.Checksum(h[:headerSize-4], checksums))
	path := filepath.Join(j.dir, fmt.Sprintf("%08d%s", s.number, suffix))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // it has the values of Secrets
	if err != nil {
		return err
	}
	if _, err := f.Write(h); err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.file = f
	j.segments, j.current, j.broken = append(j.segments, s), s, false
	clear(j.known)
	return nil
}

// prune removes segments that are too old, or too many. j.mu is held.
func (j *Journal) prune(now time.Time) error {
	size := int64(0)
	for _, s := range j.segments {
		size += s.size
	}
	var errs []error
	for len(j.segments) > 1 && (size > j.limits.Bytes || now.Sub(j.segments[1].begun) > j.limits.Age) {
		oldest := j.segments[0]
		j.segments, size = j.segments[1:], size-oldest.size
		errs = append(errs, oldest.file.Close(), os.Remove(oldest.file.Name()))
	}
	return errors.Join(errs...)
}

// Size is what the files take, in bytes.
func (j *Journal) Size() (size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		size += s.size
	}
	return size
}

// Close closes all files. The journal cannot be used afterwards.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	errs := []error{j.enc.Close()}
	for _, s := range slices.Backward(j.segments) {
		errs = append(errs, s.file.Close())
	}
	j.segments, j.current = nil, nil
	return errors.Join(errs...)
}
