package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"bonsai/controlplane/observe/history"
)

const pod = "/registry/pods/default/p"

// watched collects what a watch after a revision sends until it answers a request for its progress, and returns up to which
// revision that is everything.
func watched(t *testing.T, s *Server, after int64) (lines []string, revision int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	batches, progress, ended := make(chan history.Batch), make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, after, func(key []byte) bool { return !bytes.HasPrefix(key, []byte("/registry/leases/")) }, progress, batches)
	}()
	again := time.NewTicker(20 * time.Millisecond) // there is no answer while older changes are sent
	defer again.Stop()
	for {
		select {
		case <-again.C:
			select {
			case progress <- struct{}{}:
			default:
			}
		case b := <-batches:
			for _, e := range b.Events {
				lines = append(lines, fmt.Sprintf("%d %s %d created=%v deleted=%v", e.Revision, e.Key, len(e.Value), e.Created, e.Deleted))
			}
			if len(b.Events) > 0 {
				continue
			}
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			return lines, b.Revision
		case err := <-ended:
			t.Fatalf("the watch has ended: %v", err)
		}
	}
}

func TestWatch(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.Stop()
	begin := s.Revision()
	for _, size := range []int{10, 20} {
		if err := errors.Join(s.put(t, pod, size), s.put(t, "/registry/leases/n", 1), s.put(t, "/elsewhere", 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.etcd.Server.DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte(pod)}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("%d %s 10 created=true deleted=false", begin+1, pod),
		fmt.Sprintf("%d %s 20 created=false deleted=false", begin+4, pod),
		fmt.Sprintf("%d %s 0 created=false deleted=true", begin+7, pod),
	}
	if got, revision := watched(t, s, begin); !slices.Equal(got, want) || revision != begin+7 {
		t.Errorf("got %q up to %d, want %q up to %d", got, revision, want, begin+7)
	}
	if got, _ := watched(t, s, begin+1); !slices.Equal(got, want[1:]) {
		t.Errorf("after the first change: got %q", got)
	}
	for revision, size := range map[int64]int{begin: 0, begin + 1: 10, begin + 3: 10, begin + 4: 20, begin + 7: 0} {
		if value, err := s.Value(pod, revision); err != nil || len(value) != size {
			t.Errorf("at revision %d it has %d bytes, %v, want %d", revision, len(value), err, size)
		}
	}

	if _, err := s.etcd.Server.Compact(t.Context(), &pb.CompactionRequest{Revision: begin + 5, Physical: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Value(pod, begin+1); !errors.Is(err, history.ErrCompacted) {
		t.Errorf("the value at a revision that is gone: %v", err)
	}
	if err := s.Watch(t.Context(), begin, func([]byte) bool { return true }, nil, make(chan history.Batch, 9)); !errors.Is(err, history.ErrCompacted) {
		t.Errorf("a watch after a revision that is gone: %v", err)
	}
	if got, _ := watched(t, s, begin+5); !slices.Equal(got, want[2:]) {
		t.Errorf("after the compaction: got %q", got)
	}
}
