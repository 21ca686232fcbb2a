package etcd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.uber.org/zap"

	"bonsai/controlplane/config"
)

// envDir makes this executable an etcd with the data in a folder.
const envDir = "TEST_ETCD_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(envDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	say := func(reason string) { fmt.Println("said: " + reason) }
	if dir == "/" { // nowhere; what it does in the middle of its work
		newLogger(io.Discard, say).With(zap.Int("n", 1)).Fatal("failed to save", zap.String("path", "x"), zap.Error(syscall.ENOSPC))
	}
	_, err := Start(context.Background(), configIn(dir), Options{
		LogTo: io.Discard, Log: slog.New(slog.DiscardHandler), Say: say,
	})
	fmt.Println("returned:", err)
}

func configIn(dir string) config.Config {
	return config.Config{EtcdDir: filepath.Join(dir, "etcd"), RunDir: filepath.Join(dir, "run")}
}

const quota = 32 << 20

// start starts an etcd in a folder, which may have been used before.
func start(t *testing.T, dir string) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := Start(ctx, configIn(dir), Options{
		LogTo: t.Output(), Say: func(reason string) { t.Error(reason) }, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Quota: quota,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) put(t *testing.T, key string, size int) error {
	_, err := s.etcd.Server.Put(t.Context(), &pb.PutRequest{Key: []byte(key), Value: bytes.Repeat([]byte("x"), size)})
	return err
}

func TestFullAndRoomAgain(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	if err := s.put(t, "/registry/pods/default/p", 10); err != nil {
		t.Fatal(err)
	}
	if store := s.Store(); store.NearlyFull() || store.ReadOnly || store.Quota != quota || store.Shares != nil || store.Size == 0 {
		t.Errorf("new: %+v", store)
	}
	full := func() (n int) {
		t.Helper()
		for ; ; n++ {
			err := s.put(t, fmt.Sprintf("/registry/configmaps/fill/%d", n%50), 1<<20)
			if errors.Is(err, etcderrors.ErrNoSpace) {
				break
			}
			if err != nil || n > 200 {
				t.Fatalf("after %d MB: %v", n, err)
			}
		}
		if err := s.put(t, "/registry/pods/default/p", 1); !errors.Is(err, etcderrors.ErrNoSpace) {
			t.Fatalf("a small write: %v", err)
		}
		return n
	}
	versions := full()
	store := s.Store()
	if !store.ReadOnly || !store.NearlyFull() || store.Size < quota/2 || len(store.Shares) < 2 {
		t.Errorf("full: %+v", store)
	}
	if top := store.Shares[0]; top.Resource != "configmaps" || top.Versions < versions || top.Bytes < int64(versions)<<20 {
		t.Errorf("the largest share is %+v, want %d versions of configmaps", top, versions)
	}
	s.Stop()

	// Everything is still needed: there is room to write nevertheless, or nothing could be deleted.
	s = start(t, dir)
	if store := s.Store(); store.ReadOnly || store.Size < quota/2 {
		t.Errorf("started again: %+v", store)
	}
	if err := s.put(t, "/registry/pods/default/p", 1<<20); err != nil {
		t.Errorf("started again: %v", err)
	}
	full()
	if _, err := s.etcd.Server.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("/registry/configmaps/"), RangeEnd: []byte("/registry/configmaps0")}); err != nil {
		t.Fatalf("delete while it is full: %v", err)
	}
	s.Stop()

	s = start(t, dir)
	defer s.Stop()
	if store := s.Store(); store.ReadOnly || store.NearlyFull() || store.Size > quota/4 {
		t.Errorf("started after the delete: %+v", store)
	}
	if err := s.put(t, "/registry/pods/default/p", 10); err != nil {
		t.Errorf("started after the delete: %v", err)
	}
}

func TestAFatalErrorIsSaid(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), envDir+"=/")
	out, err := cmd.CombinedOutput()
	if want := "said: etcd: failed to save: no space left on device\n"; err == nil || string(out) != want {
		t.Errorf("got %v, %q, want %q", err, out, want)
	}
}

func TestDamagedData(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	for i := range 20 {
		s.mustPut(t, fmt.Sprintf("/registry/pods/default/p%d", i), 1000)
	}
	s.Stop()
	segments, err := filepath.Glob(filepath.Join(dir, "etcd", "member", "wal", "*.wal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("the log of etcd's writes: %v, %v", segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	records := recordsOf(data)
	middle := records[len(records)/2]
	length := func(at int, change func(uint64) uint64) func([]byte) {
		return func(data []byte) {
			binary.LittleEndian.PutUint64(data[at:], change(binary.LittleEndian.Uint64(data[at:])))
		}
	}
	beyond, longer, none := func(l uint64) uint64 { return l | 1<<40 }, func(l uint64) uint64 { return l + 64 }, func(uint64) uint64 { return 0 }
	const behind = "its log ends before entry "
	cut := fmt.Sprintf("cannot read on from byte %d of ", middle)
	for name, tc := range map[string]struct {
		damage func(data []byte)
		want   []string
	}{
		"the content of a record":          {func(data []byte) { data[bytes.Index(data, []byte("/registry/pods/default/p5"))] ^= 0x55 }, []string{"crc mismatch"}},
		"the beginning":                    {func(data []byte) { data[0] ^= 0x55 }, nil},
		"a length, longer than the file":   {length(middle, beyond), []string{behind, cut}},
		"a length, longer than the record": {length(middle, longer), nil},
		"no length, as at the end":         {length(middle, none), []string{behind}},
		"an early length":                  {length(records[3], beyond), []string{behind}},
		"an early record seems to be none": {length(records[3], none), []string{behind}},
		"the first length":                 {length(0, beyond), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			damaged := t.TempDir()
			if err := os.CopyFS(damaged, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			data := bytes.Clone(data)
			tc.damage(data)
			if err := os.WriteFile(filepath.Join(damaged, "etcd", "member", "wal", filepath.Base(segments[0])), data, 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // etcd changes the log while it looks at it
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, os.Args[0])
				cmd.Env = append(os.Environ(), envDir+"="+damaged)
				out, _ := cmd.CombinedOutput()
				for _, want := range append(tc.want, "returned: etcd's data in ", " is damaged: ") {
					if !strings.Contains(string(out), want) {
						t.Errorf("it did not return why: want %q in\n%s", want, out)
					}
				}
			}
		})
	}
}

// recordsOf are the places at which the records of a log begin: each with its length, in whose first byte is how much it is
// padded.
func recordsOf(data []byte) (begin []int) {
	for at := 0; ; {
		length := binary.LittleEndian.Uint64(data[at:])
		if length == 0 {
			return begin
		}
		begin = append(begin, at)
		if at += 8 + int(length&(1<<56-1)); length>>63 == 1 {
			at += int(length >> 56 & 7)
		}
	}
}

// A leader that cannot be had in time ends the wait, and nothing of etcd stays.
func TestAnElectionThatTakesTooLong(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.Stop()
	late := errors.New("late")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	for range 2 {
		_, err := Start(ctx, configIn(dir), Options{LogTo: io.Discard, Say: func(string) {}, Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, late) {
			t.Fatalf("got %v", err)
		}
	}
	start(t, dir).Stop()
}

func TestDataThatSomebodyElseUses(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.Stop()
	other := configIn(dir)
	other.RunDir = filepath.Join(dir, "run2")
	_, err := Start(t.Context(), other, Options{LogTo: io.Discard, Say: func(string) {}, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v", err)
	}
}

func TestResourceOf(t *testing.T) {
	for key, want := range map[string]string{
		"/registry/pods/default/web":                       "pods",
		"/registry/services/specs/default/web":             "services",
		"/registry/services/endpoints/default/web":         "endpoints",
		"/registry/minions/n1":                             "nodes",
		"/registry/apiregistration.k8s.io/apiservices/v1.": "apiservices.apiregistration.k8s.io",
		"/registry/example.com/widgets/default/w":          "widgets.example.com",
		"/fill/1":         "/fill/",
		"compact_rev_key": "/compact_rev_key/",
		"/registry/":      "",
	} {
		if got := resourceOf(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
