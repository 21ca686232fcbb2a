package etcd

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	put := func(key, value string) {
		t.Helper()
		if _, err := s.etcd.Server.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
			t.Fatal(err)
		}
	}
	put("/registry/secrets/a", "first-password")
	put("/registry/secrets/a", "second-password")
	put("/registry/secrets/gone", "deleted-password")
	put("/registry/secrets/odd", "odd-password")
	for range rewriteBatch + 10 { // several transactions
		put("/registry/pods/p", "of a pod")
	}
	put("/registry/configmaps/c", "kept")
	if _, err := s.etcd.Server.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("/registry/secrets/gone")}); err != nil {
		t.Fatal(err)
	}
	revision := s.etcd.Server.KV().Rev()
	data, _ := s.copyAll(t)
	s.Stop()

	from, to := filepath.Join(dir, "copy"), filepath.Join(dir, "rewritten")
	if err := os.WriteFile(from, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(from, to, func(key string, value []byte) ([]byte, bool) {
		switch {
		case strings.HasSuffix(key, "/odd"):
			return nil, false
		case strings.HasPrefix(key, "/registry/secrets/"):
			return []byte("removed"), true
		}
		return value, true
	}); err != nil {
		t.Fatal(err)
	}
	rewritten, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("second-password")) || !bytes.Contains(data, []byte("deleted-password")) {
		t.Fatal("the copy has no secrets to begin with")
	}
	if bytes.Contains(rewritten, []byte("password")) {
		t.Error("a secret is in the rewritten file")
	}

	// etcd serves it.
	if s, err = startRestoring(t, t.TempDir(), Restoring{Open: openBytes(rewritten)}); err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got, want := s.all(t), []string{"/registry/configmaps/c 4", "/registry/pods/p 8", "/registry/secrets/a 7"}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	r, err := s.etcd.Server.Range(t.Context(), &pb.RangeRequest{Key: []byte("/registry/configmaps/c")})
	if err != nil || r.GetKvs()[0].ModRevision != revision-1 {
		t.Errorf("it is of revision %d, want %d; %v", r.GetKvs()[0].ModRevision, revision-1, err)
	}

	if err := Rewrite(from, to, nil); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("over an existing file: %v", err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, bytes.Repeat([]byte("x"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(bad, filepath.Join(dir, "none"), nil); err == nil {
		t.Error("of a file that is not etcd's: no error")
	}
}
