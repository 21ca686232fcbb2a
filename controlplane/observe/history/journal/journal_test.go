package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var begin = time.UnixMicro(1_700_000_000_000_000)

func open(t *testing.T, dir string, limits Limits) *Journal {
	t.Helper()
	j, err := Open(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func put(t *testing.T, j *Journal, now time.Time, revision int64, records ...Record) {
	t.Helper()
	if err := j.Append(records, revision, now); err != nil {
		t.Fatal(err)
	}
}

// change is a record of revision n, a second after the one before.
func change(n int64, op Op, key, before, value string) Record {
	r := Record{Key: key, Revision: n, Time: begin.Add(time.Duration(n) * time.Second), Op: op, Writer: Writer{Who: "kubectl", User: "jane", Agent: "kubectl/1"}}
	if before != "" {
		r.Before = []byte(before)
	}
	if op != Deleted {
		r.Value = []byte(value)
	}
	return r
}

// all returns the changes as lines, the newest first.
func all(t *testing.T, j *Journal, since time.Time) (lines []string) {
	t.Helper()
	if err := j.Read(func(v *View) error {
		var entries []Entry
		err := v.Backward(since, nil, func(e Entry) bool {
			entries = append(entries, e)
			return true
		})
		for _, e := range entries {
			before, err1 := v.Before(e)
			value, err2 := v.Value(e)
			if err1 != nil || err2 != nil {
				t.Errorf("%+v: %v, %v", e, err1, err2)
			}
			lines = append(lines, fmt.Sprintf("%d %d %s %q %q %s", e.Revision, e.Op, e.Key, before, value, e.Writer.Who))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestChangesWithTheValuesBeforeAndAfter(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, DefaultLimits)
	j.Break(9)
	put(t, j, begin, 9)
	if j.Known("/a") {
		t.Error("a new journal knows a value")
	}
	put(t, j, begin, 12, change(10, Created, "/a", "", "a1"), change(11, Updated, "/b", "b0", "b1"), change(12, Updated, "/a", "", "a2"))
	if !j.Known("/a") || !j.Known("/b") || j.Known("/c") {
		t.Error("what it knows is wrong")
	}
	put(t, j, begin, 14, change(13, Deleted, "/a", "", ""), change(14, Updated, "/b", "unused", "b2"))
	if j.Known("/a") {
		t.Error("the value of a deleted object is known")
	}
	put(t, j, begin, 15, change(15, Created, "/a", "", "a3"))
	want := []string{
		`15 1 /a "" "a3" kubectl`,
		`14 2 /b "b1" "b2" kubectl`,
		`13 3 /a "a2" "" kubectl`,
		`12 2 /a "a1" "a2" kubectl`,
		`11 2 /b "b0" "b1" kubectl`,
		`10 1 /a "" "a1" kubectl`,
	}
	equal(t, all(t, j, time.Time{}), want...)
	equal(t, all(t, j, begin.Add(14*time.Second)), want[:2]...)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	// Opened again, it goes on.
	j = open(t, dir, DefaultLimits)
	if got := j.Position(); got != 15 {
		t.Errorf("position %d, want 15", got)
	}
	if j.Known("/b") {
		t.Error("a file that is not begun yet knows a value")
	}
	put(t, j, begin.Add(time.Minute), 16, change(16, Updated, "/b", "b2", "b3"))
	equal(t, all(t, j, time.Time{}), append([]string{`16 2 /b "b2" "b3" kubectl`}, want...)...)
	_ = j.Read(func(v *View) error {
		if !v.Whole().Equal(begin) || len(v.Gaps()) != 0 {
			t.Errorf("whole since %v, gaps %v", v.Whole(), v.Gaps())
		}
		return nil
	})
	for _, e := range must(os.ReadDir(dir)) {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Blocks without a key that is wanted are passed over; in the others, it is for the caller to choose.
func TestBlocksOfOtherKeysArePassedOver(t *testing.T) {
	j := open(t, t.TempDir(), DefaultLimits)
	put(t, j, begin, 2, change(1, Created, "/a", "", "1"), change(2, Created, "/b", "", "2"))
	put(t, j, begin, 3, change(3, Created, "/c", "", "3"))
	put(t, j, begin, 4, change(4, Updated, "/a", "1", "4"))
	for key, want := range map[string][]int64{"/a": {4, 2, 1}, "/c": {3}, "/nix": nil} {
		var got []int64
		if err := j.Read(func(v *View) error {
			wanted := func(k []byte) bool { return string(k) == key }
			return v.Backward(time.Time{}, wanted, func(e Entry) bool { got = append(got, e.Revision); return true })
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %s: revisions %v, want %v", key, got, want)
		}
	}
}

func TestGap(t *testing.T) {
	j := open(t, t.TempDir(), DefaultLimits)
	j.Break(1)
	put(t, j, begin, 2, change(2, Created, "/a", "", "a1"))
	j.Break(1000)
	if j.Known("/a") {
		t.Error("a value of before the gap is known")
	}
	_ = j.Read(func(v *View) error {
		if !v.Whole().IsZero() {
			t.Errorf("whole since %v before anything was recorded", v.Whole())
		}
		return nil
	})
	later := begin.Add(time.Hour)
	put(t, j, later, 1001, change(1001, Updated, "/a", "other", "a9"))
	equal(t, all(t, j, time.Time{}), `1001 2 /a "other" "a9" kubectl`, `2 1 /a "" "a1" kubectl`)
	_ = j.Read(func(v *View) error {
		if gaps := v.Gaps(); !v.Whole().Equal(later) || len(gaps) != 1 || !gaps[0].Equal(later) {
			t.Errorf("whole since %v, gaps %v, want %v", v.Whole(), gaps, later)
		}
		return nil
	})
}

// TestEveryTornTail cuts the last file at each length: what was written completely before is there, and it goes on.
func TestEveryTornTail(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, DefaultLimits)
	j.Break(1)
	put(t, j, begin, 2, change(2, Created, "/a", "", "a1"))
	first := j.Size()
	put(t, j, begin, 3, change(3, Updated, "/a", "", "a2"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "00000001.history")
	whole := must(os.ReadFile(path))
	for size := range whole {
		torn := t.TempDir()
		if err := os.WriteFile(filepath.Join(torn, "00000001.history"), whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		j := open(t, torn, DefaultLimits)
		want, position := []string{`2 1 /a "" "a1" kubectl`}, int64(2)
		switch {
		case size < headerSize:
			want, position = nil, 0
		case int64(size) < first:
			want, position = nil, 1
		}
		if got := j.Position(); got != position {
			t.Fatalf("%d bytes: position %d, want %d", size, got, position)
		}
		equal(t, all(t, j, time.Time{}), want...)
		put(t, j, begin, 9, change(9, Updated, "/a", "x", "a9"))
		equal(t, all(t, j, time.Time{}), append([]string{`9 2 /a "x" "a9" kubectl`}, want...)...)
		_ = j.Close()
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, DefaultLimits)
	j.Break(1)
	put(t, j, begin, 2, change(2, Created, "/a", "", strings.Repeat("a1", 100)))
	_ = j.Close()
	j = open(t, dir, DefaultLimits)
	put(t, j, begin, 3, change(3, Created, "/b", "", "b1"))
	_ = j.Close()
	path := filepath.Join(dir, "00000001.history")
	data := must(os.ReadFile(path))
	data[headerSize+2*blockHeaderSize+1] ^= 0x40 // in the changes of the second block
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, DefaultLimits)
	var keys []string
	err := j.Read(func(v *View) error {
		return v.Backward(time.Time{}, nil, func(e Entry) bool { keys = append(keys, e.Key); return true })
	})
	if !errors.Is(err, ErrDamaged) || !slices.Equal(keys, []string{"/b"}) {
		t.Errorf("got %v, %v; want the newer change, and that the older is damaged", keys, err)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	limits := Limits{Bytes: 256 << 10, Age: 8 * time.Hour}
	j := open(t, dir, limits)
	j.Break(0)
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 4<<10)
	now := begin
	for n := int64(1); n <= 500; n++ {
		_, _ = random.Read(noise)
		now = now.Add(time.Second)
		put(t, j, now, n, Record{Key: "/a", Revision: n, Time: now, Op: Updated, Before: []byte("0"), Value: bytes.Clone(noise)})
		if size := j.Size(); size > limits.Bytes+limits.Bytes/parts+8<<10 {
			t.Fatalf("after %d changes it has %d bytes", n, size)
		}
	}
	if got := all(t, j, time.Time{}); len(got) < 30 || !strings.HasPrefix(got[0], "500 ") {
		t.Errorf("%d changes are left", len(got))
	}
	for range 20 {
		now = now.Add(time.Hour)
		put(t, j, now, 501)
	}
	if got := all(t, j, time.Time{}); len(got) > 0 {
		t.Errorf("after 20 hours %d changes are left", len(got))
	}
	if files := must(os.ReadDir(dir)); len(files) > parts+2 {
		t.Errorf("%d files are left", len(files))
	}
	_ = j.Read(func(v *View) error {
		if age := now.Sub(v.Whole()); age < limits.Age-2*time.Hour || age > limits.Age+2*time.Hour {
			t.Errorf("it begins %v ago", age)
		}
		return nil
	})
}

// TestSimilarValuesTakeLittleRoom: the status of an object changes again and again, which is what clusters do most.
func TestSimilarValuesTakeLittleRoom(t *testing.T) {
	j := open(t, t.TempDir(), DefaultLimits)
	j.Break(0)
	pod := make([]byte, 6<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(pod)
	for block := range int64(20) {
		var records []Record
		for n := range int64(50) {
			value := append(bytes.Clone(pod), fmt.Sprint(block*50+n)...)
			records = append(records, change(block*50+n, Updated, fmt.Sprintf("/registry/pods/default/web-%d", n%5), "", string(value)))
		}
		put(t, j, begin, block*50+49, records...)
	}
	if each := j.Size() / 1000; each > 300 {
		t.Errorf("a change of 6 kB takes %d bytes", each)
	}
}

func FuzzDecodeChanges(f *testing.F) {
	enc := must(open1(f.TempDir()))
	data, b, _ := encodeBlock([]Record{
		change(1, Created, "/a", "", "a1"), change(2, Updated, "/b", "b0", "b1"), change(3, Deleted, "/a", "", ""),
	}, 3, begin, 0, nil, enc.enc)
	packed := data[blockHeaderSize : blockHeaderSize+b.changes]
	_ = enc.Read(func(v *View) error {
		f.Add(must(v.dec.DecodeAll(packed, nil)), b.count)
		return nil
	})
	_ = enc.Close()
	f.Add([]byte{0}, 0)
	f.Add([]byte{1, 0, 1}, 1<<30)
	f.Fuzz(func(t *testing.T, data []byte, count int) {
		entries, size, err := decodeChanges(data, max(count, 0), 3)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("the error is %v", err)
		}
		if err == nil && (len(entries) != max(count, 0) || size > maxBlock) {
			t.Errorf("%d changes of %d, %d bytes of values", len(entries), count, size)
		}
	})
}

func open1(dir string) (*Journal, error) { return Open(dir, DefaultLimits) }

// BenchmarkAppend is what recording costs: a block of 50 changes of pods.
func BenchmarkAppend(b *testing.B) {
	j := must(open1(b.TempDir()))
	defer j.Close()
	pod := make([]byte, 6<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(pod)
	var records []Record
	for n := range int64(50) {
		records = append(records, change(n, Updated, fmt.Sprintf("/registry/pods/default/web-%d", n%25), "", string(pod)))
	}
	b.SetBytes(50 * 6 << 10)
	for b.Loop() {
		if err := j.Append(records, 50, begin); err != nil {
			b.Fatal(err)
		}
	}
}

// fill writes blocks as a cluster with 50 changes a second does, until the limit is reached, and returns how many changes
// are left.
func fill(tb testing.TB, j *Journal, changes int) {
	tb.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	pods := make([][]byte, 500)
	for i := range pods {
		pods[i] = make([]byte, 4<<10)
		for k := range pods[i] { // as compressible as protobuf
			pods[i][k] = byte(random.IntN(24))
		}
	}
	now := begin
	j.Break(0)
	for n := 0; n < changes; n += 50 {
		var records []Record
		for i := range 50 {
			pod := pods[random.IntN(len(pods))]
			pod[random.IntN(len(pod))]++
			now = now.Add(20 * time.Millisecond)
			records = append(records, Record{
				Key: fmt.Sprintf("/registry/pods/default/web-7d99b899c6-%05d", random.IntN(len(pods))), Revision: int64(n + i), Time: now, Op: Updated,
				Writer: Writer{Who: "kubelet on dev-2", User: "system:node:dev-2", Agent: "bonsai/v1.37.2 (linux/amd64) kubernetes/7e1133d", Subresource: "status"},
				Value:  bytes.Clone(pod),
			})
		}
		if err := j.Append(records, int64(n+49), now); err != nil {
			tb.Fatal(err)
		}
	}
}

// TestMemory: what the journal keeps in memory does not depend on what it has recorded.
func TestMemory(t *testing.T) {
	j := open(t, t.TempDir(), Limits{Bytes: 8 << 20, Age: time.Hour})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	fill(t, j, 5_000)
	grown := heap() - before
	t.Logf("%d bytes on the disk, %d in memory", j.Size(), grown)
	if grown > 10<<20 {
		t.Errorf("it has %d bytes in memory", grown)
	}
}

// BenchmarkBackward looks for the changes of one object in a journal that is full, and reads the newest ones of all.
func BenchmarkBackward(b *testing.B) {
	j := must(open1(b.TempDir()))
	defer j.Close()
	fill(b, j, 200_000)
	b.Logf("%d MB", j.Size()>>20)
	for name, c := range map[string]struct {
		key  string
		most int
	}{"one object": {"/registry/pods/default/web-7d99b899c6-00007", 1 << 30}, "none": {"/registry/pods/default/nix", 50}, "newest": {"", 50}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := j.Read(func(v *View) error {
					n := 0
					var wanted func([]byte) bool
					if c.key != "" {
						wanted = func(key []byte) bool { return string(key) == c.key }
					}
					return v.Backward(time.Time{}, wanted, func(e Entry) bool {
						if c.key != "" && e.Key != c.key {
							return true
						}
						n++
						_, err := v.Value(e)
						return err == nil && n < min(c.most, 50)
					})
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
