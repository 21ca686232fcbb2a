package etcd

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/mvcc"

	"bonsai/controlplane/observe/history"
)

var _ history.Store = (*Server)(nil)

// Revision implements history.Store.
func (s *Server) Revision() int64 { return s.etcd.Server.KV().Rev() }

// Value implements history.Store.
func (s *Server) Value(key string, revision int64) ([]byte, error) {
	r, err := s.etcd.Server.KV().Range(context.Background(), []byte(key), nil, mvcc.RangeOptions{Rev: revision})
	switch {
	case errors.Is(err, mvcc.ErrCompacted):
		return nil, history.ErrCompacted
	case err != nil || len(r.KVs) == 0:
		return nil, err
	}
	return r.KVs[0].Value, nil
}

// Watch implements history.Store, beneath the API that clients of etcd use: nothing is encoded or copied.
func (s *Server) Watch(ctx context.Context, after int64, recorded func(key []byte) bool, progress <-chan struct{}, to chan<- history.Batch) error {
	stream := s.etcd.Server.KV().NewWatchStream()
	defer stream.Close()
	begin, end := []byte("/registry/"), []byte("/registry0")
	id, err := stream.Watch(ctx, clientv3.AutoWatchID, begin, end, after+1, func(e *mvccpb.Event) bool { return !recorded(e.Kv.Key) })
	if err != nil {
		return err
	}
	for {
		select {
		case r, ok := <-stream.Chan():
			if !ok {
				return errors.New("etcd has ended the watch")
			}
			if r.CompactRevision != 0 {
				return history.ErrCompacted
			}
			select {
			case to <- batchOf(r):
			case <-ctx.Done():
				return nil
			}
		case <-progress:
			stream.RequestProgress(id)
		case <-ctx.Done():
			return nil
		}
	}
}

func batchOf(r mvcc.WatchResponse) history.Batch {
	b := history.Batch{Revision: r.Revision}
	for _, e := range r.Events {
		// Of a watch that catches up, the revision of the answer can be newer than the changes that it has.
		b.Revision = e.Kv.ModRevision
		b.Events = append(b.Events, history.Event{
			Key: string(e.Kv.Key), Value: e.Kv.Value, Revision: e.Kv.ModRevision,
			Created: e.Type == mvccpb.PUT && e.Kv.CreateRevision == e.Kv.ModRevision, Deleted: e.Type == mvccpb.DELETE,
		})
	}
	return b
}
