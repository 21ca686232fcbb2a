package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/encoding/protowire"

	"bonsai/bootstrap/cluster"
)

const (
	// DefaultQuota is upstream's, and kubeadm's: the file is mapped into memory as a whole, and read at each start. It is
	// set explicitly because problems and starts are measured by it.
	DefaultQuota = 2 << 30
	// Without a compaction that has ended by then, the file is made smaller as far as it can be.
	compactLimit = 10 * time.Second
	// shareAge is how old an answer of Store about the shares may be: it reads the whole file.
	shareAge = time.Minute
	// maxShares is how many of the largest shares are named.
	maxShares = 5
)

// quotaFor is the quota of a start with the data file at path. At least a tenth of the normal quota is free at each start,
// even if the file has reached it: without room for writes an API server cannot start, and without one nobody can delete
// anything. So a full cluster can always be brought back and cleaned up.
func quotaFor(path string, normal int64) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return normal
	}
	return max(normal, info.Size()+normal/10)
}

// makeRoom gives the room of old versions and deleted objects back, and allows writes again that an alarm forbids. It does
// nothing while more than half of the quota is free: then the API server's compactions do, and a start stays short.
func (s *Server) makeRoom(ctx context.Context, log *slog.Logger) error {
	server, before := s.etcd.Server, s.Size()
	if !s.readOnly() && before < s.quota/2 {
		return nil
	}
	begin := time.Now()
	compacting, cancel := context.WithTimeout(ctx, compactLimit)
	defer cancel()
	if _, err := server.Compact(compacting, &pb.CompactionRequest{Revision: server.KV().Rev(), Physical: true}); err != nil &&
		!errors.Is(err, mvcc.ErrCompacted) && compacting.Err() == nil {
		log.Warn("etcd's old versions cannot be removed", "err", err)
	}
	server.Backend().ForceCommit()
	if server.Backend().SizeInUse() < before-before/10 {
		// It writes a second file, for which there may be no room on the disk.
		if err := server.Defragment(); err != nil {
			log.Warn("etcd's file cannot be made smaller", "err", err)
		}
	}
	log.Info("made room in etcd", "before", before, "after", s.Size(), "quota", s.quota, "took", time.Since(begin).Round(time.Millisecond))
	if !s.readOnly() || s.Size() >= s.quota {
		return nil
	}
	for _, a := range server.Alarms() {
		if a.GetAlarm() != pb.AlarmType_NOSPACE {
			continue
		}
		if _, err := server.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.GetMemberID(), Alarm: pb.AlarmType_NOSPACE}); err != nil {
			return fmt.Errorf("let etcd accept writes again: %w", err)
		}
	}
	return nil
}

// readOnly reports whether etcd refuses all writes because it is full.
func (s *Server) readOnly() bool {
	return slices.ContainsFunc(s.etcd.Server.Alarms(), func(a *pb.AlarmMember) bool { return a.GetAlarm() == pb.AlarmType_NOSPACE })
}

// Store returns how full the data file is, and, once that is a problem, what takes the room; that may take a second, and
// is at most a minute old.
func (s *Server) Store() cluster.Store {
	store := cluster.Store{Size: s.Size(), Quota: s.quota, ReadOnly: s.readOnly()}
	if store.NearlyFull() {
		store.InUse, store.Shares = s.etcd.Server.Backend().SizeInUse(), s.recentShares()
	}
	return store
}

func (s *Server) recentShares() []cluster.StoreShare {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.counted) > shareAge {
		s.shares, s.counted = s.countShares(), time.Now()
	}
	return s.shares
}

// countShares adds up what the file has of each resource, all versions of each object.
func (s *Server) countShares() []cluster.StoreShare {
	by := map[string]*cluster.StoreShare{}
	tx := s.etcd.Server.Backend().ConcurrentReadTx()
	tx.RLock()
	defer tx.RUnlock()
	_ = tx.UnsafeForEach(schema.Key, func(_, value []byte) error {
		name := resourceOf(string(keyOf(value)))
		share := by[name]
		if share == nil {
			share = &cluster.StoreShare{Resource: name}
			by[name] = share
		}
		share.Bytes += int64(len(value))
		share.Versions++
		return nil
	})
	var all []cluster.StoreShare
	for _, share := range by {
		all = append(all, *share)
	}
	slices.SortFunc(all, func(a, b cluster.StoreShare) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Resource, b.Resource))
	})
	return all[:min(len(all), maxShares)]
}

// keyOf returns the key of an encoded mvccpb.KeyValue, its first field, without reading the value, which may be large and
// is in a file.
func keyOf(encoded []byte) []byte {
	if field, _, n := protowire.ConsumeTag(encoded); n > 0 && field == 1 {
		if key, n := protowire.ConsumeBytes(encoded[n:]); n > 0 {
			return key
		}
	}
	return nil
}

// resourceOf is the resource of a key of the API server as kubectl names it ("configmaps", "widgets.example.com"); of
// others it is the key's first element, with slashes.
func resourceOf(key string) string {
	rest, ok := strings.CutPrefix(key, "/registry/")
	if !ok {
		first, _, _ := strings.Cut(strings.TrimPrefix(key, "/"), "/")
		return "/" + first + "/"
	}
	first, rest, _ := strings.Cut(rest, "/")
	second, _, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(first, ".") && second != "": // a group
		return second + "." + first
	case first == "services" && second == "endpoints":
		return second
	case first == "minions":
		return "nodes"
	}
	return first
}
