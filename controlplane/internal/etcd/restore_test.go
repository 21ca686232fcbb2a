package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"bonsai/bootstrap/cluster"
)

func (s *Server) copyAll(t *testing.T) ([]byte, cluster.StoreCopy) {
	t.Helper()
	var b bytes.Buffer
	var about cluster.StoreCopy
	if err := s.Copy(t.Context(), func(a cluster.StoreCopy) (io.Writer, error) { about = a; return &b, nil }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), about
}

// all are the keys and the lengths of their values.
func (s *Server) all(t *testing.T) (list []string) {
	t.Helper()
	r, err := s.etcd.Server.Range(t.Context(), &pb.RangeRequest{Key: []byte("/registry/"), RangeEnd: []byte("/registry0")})
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range r.GetKvs() {
		list = append(list, fmt.Sprintf("%s %d", kv.Key, len(kv.Value)))
	}
	return list
}

func (s *Server) mustPut(t *testing.T, key string, size int) {
	t.Helper()
	if err := s.put(t, key, size); err != nil {
		t.Fatal(err)
	}
}

func openBytes(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// startRestoring starts with other data.
func startRestoring(t *testing.T, dir string, r Restoring) (*Server, error) {
	t.Helper()
	return Start(t.Context(), configIn(dir), Options{
		LogTo: t.Output(), Say: func(reason string) { t.Error(reason) }, Log: slog.New(slog.DiscardHandler), Quota: quota, Restoring: &r,
	})
}

func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "run" {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestRestore(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.mustPut(t, "/registry/pods/default/a", 10)
	s.mustPut(t, "/registry/pods/default/b", 20)
	s.mustPut(t, "/registry/configmaps/default/c", 30)
	data, about := s.copyAll(t)
	want := s.all(t)
	if about.Objects != 3 || about.Revision < 4 || about.StoreBytes != int64(len(data)) {
		t.Errorf("the copy is described as %+v, and has %d bytes", about, len(data))
	}
	s.mustPut(t, "/registry/pods/default/a", 11)
	s.mustPut(t, "/registry/pods/default/late", 1)
	if _, err := s.etcd.Server.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("/registry/configmaps/default/c")}); err != nil {
		t.Fatal(err)
	}
	before := s.etcd.Server.KV().Rev()
	s.Stop()

	for round := range 2 { // revisions never go back, also if the same copy is restored twice
		var err error
		s, err = startRestoring(t, dir, Restoring{Open: openBytes(data), Edit: func(d *Data) error {
			// All that was there before the restore, in the first round.
			if before := slices.Sorted(maps.Keys(d.Replaced("/registry/pods/"))); round == 0 && !slices.Equal(before,
				[]string{"/registry/pods/default/a", "/registry/pods/default/b", "/registry/pods/default/late"}) {
				t.Errorf("replaced are %v", before)
			}
			if maps := d.Replaced("/registry/configmaps/"); round == 0 && len(maps) > 0 {
				t.Errorf("what was deleted before is still there: %v", maps)
			}
			var keys []string
			for key, value := range d.All("/registry/pods/") {
				keys = append(keys, fmt.Sprintf("%s %d", key, len(value)))
				d.Delete("/registry/pods/default/b")
			}
			if wantKeys := want[1:]; !slices.Equal(keys, wantKeys) {
				t.Errorf("All returns %v, want %v", keys, wantKeys)
			}
			d.Put("/registry/added", []byte("12345"))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.all(t), []string{"/registry/added 5", "/registry/configmaps/default/c 30", "/registry/pods/default/a 10"}; !slices.Equal(got, want) {
			t.Errorf("round %d: there are %v, want %v", round, got, want)
		}
		rev := s.etcd.Server.KV().Rev()
		if rev <= before {
			t.Errorf("round %d: the revision is %d, before the restore it was %d", round, rev, before)
		}
		// A watch from before has to list again.
		if _, err := s.etcd.Server.Range(t.Context(), &pb.RangeRequest{Key: []byte("/registry/added"), Revision: before}); !errors.Is(err, mvcc.ErrCompacted) {
			t.Errorf("round %d: revision %d of before: %v, want that it is compacted", round, before, err)
		}
		if err := Keep(configIn(dir).EtcdDir); err != nil {
			t.Fatal(err)
		}
		if names := left(t, dir); !slices.Equal(names, []string{"etcd"}) {
			t.Errorf("round %d: there are %v", round, names)
		}
		s.mustPut(t, "/registry/after", round)
		before = s.etcd.Server.KV().Rev()
		s.Stop()
	}
	s = start(t, dir)
	defer s.Stop()
	if got := s.all(t); len(got) != 4 {
		t.Errorf("after another start there are %v", got)
	}
}

func TestARestoreThatIsNotKeptIsUndone(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.mustPut(t, "/registry/a", 1)
	data, _ := s.copyAll(t)
	s.mustPut(t, "/registry/b", 1)
	want := s.all(t)
	s.Stop()
	etcdDir := configIn(dir).EtcdDir
	for name, interrupt := range map[string]func(t *testing.T){
		"while it is built": func(t *testing.T) {
			if err := os.MkdirAll(etcdDir+nextSuffix+"/member", 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"between the two renames": func(t *testing.T) {
			if err := os.Rename(etcdDir, etcdDir+previousSuffix); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(etcdDir, 0o700); err != nil { // as any command does
				t.Fatal(err)
			}
		},
		"with the new data": func(t *testing.T) {
			s, err := startRestoring(t, dir, Restoring{Open: openBytes(data), Mark: "abc"})
			if err != nil {
				t.Fatal(err)
			}
			if mark, err := os.ReadFile(filepath.Join(etcdDir, cluster.RestoredFile)); err != nil || string(mark) != "abc" {
				t.Errorf("the mark is %q, %v", mark, err)
			}
			if got := s.all(t); len(got) != 1 {
				t.Fatalf("restored are %v", got)
			}
			s.mustPut(t, "/registry/new", 1)
			s.Stop()
		},
		"while it goes back": func(t *testing.T) {
			s, err := startRestoring(t, dir, Restoring{Open: openBytes(data)})
			if err != nil {
				t.Fatal(err)
			}
			s.Stop()
			if err := os.RemoveAll(filepath.Join(etcdDir, "member")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			interrupt(t)
			s := start(t, dir)
			defer s.Stop()
			if got := s.all(t); !slices.Equal(got, want) {
				t.Errorf("there are %v, want %v", got, want)
			}
			if names := left(t, dir); !slices.Equal(names, []string{"etcd"}) {
				t.Errorf("there are %v", names)
			}
			if _, err := os.Stat(filepath.Join(etcdDir, cluster.RestoredFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data of before has a mark (%v)", err)
			}
		})
	}
}

func TestARestoreOfNonsenseChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.mustPut(t, "/registry/a", 1)
	data, _ := s.copyAll(t)
	want := s.all(t)
	s.Stop()
	torn := errors.New("torn")
	for name, r := range map[string]Restoring{
		"nothing":       {Open: openBytes(nil)},
		"half":          {Open: openBytes(data[:len(data)/2])},
		"text":          {Open: openBytes([]byte(strings.Repeat("nonsense ", 10000)))},
		"cannot open":   {Open: func() (io.ReadCloser, error) { return nil, torn }},
		"a failed edit": {Open: openBytes(data), Edit: func(*Data) error { return torn }},
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := startRestoring(t, dir, r); err == nil {
				s.Stop()
				t.Fatal("it starts")
			}
			if names := left(t, dir); !slices.Equal(names, []string{"etcd"}) {
				t.Errorf("there are %v", names)
			}
		})
	}
	s = start(t, dir)
	defer s.Stop()
	if got := s.all(t); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

// Data that cannot be read is replaced as well: that is what a checkpoint is for.
func TestRestoreReplacesDamagedData(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.mustPut(t, "/registry/a", 1)
	data, about := s.copyAll(t)
	s.Stop()
	file := dataFile(configIn(dir).EtcdDir)
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 20000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := startRestoring(t, dir, Restoring{Open: openBytes(data), Newest: about.Revision + 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if rev := s.etcd.Server.KV().Rev(); rev < about.Revision+1000 {
		t.Errorf("the revision is %d", rev)
	}
	if got := s.all(t); len(got) != 1 {
		t.Errorf("there are %v", got)
	}
}

func TestCopyOfManyObjects(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.Stop()
	for i := range 2000 {
		s.mustPut(t, fmt.Sprintf("/registry/configmaps/default/c%d", i), 1000)
	}
	began := time.Now()
	data, about := s.copyAll(t)
	t.Logf("%d objects, %d bytes in %s", about.Objects, len(data), time.Since(began))
	if about.Objects != 2000 {
		t.Errorf("got %+v", about)
	}
}
