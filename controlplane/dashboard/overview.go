package dashboard

import (
	"context"
	"time"

	"bonsai/bootstrap/cluster"
)

// firstLook bounds how long the first version of a page waits for nodes that do not answer; the stream has them later.
const firstLook = time.Second

// overviewData is what the page overview shows.
type overviewData struct {
	cluster.Snapshot
	Ready    int
	Troubles []problemView
}

// snapshot is what can be known of the cluster in a moment.
func (s *Server) snapshot(ctx context.Context) cluster.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	return s.o.Cluster.Snapshot(ctx)
}

func overviewOf(q *request, snapshot cluster.Snapshot) overviewData {
	d := overviewData{Snapshot: snapshot}
	for _, n := range snapshot.Nodes {
		if n.Ready {
			d.Ready++
		}
	}
	for _, p := range snapshot.Problems {
		d.Troubles = append(d.Troubles, showFixable(q, p))
	}
	return d
}

func (s *Server) loadOverview(ctx context.Context, q *request) (any, error) {
	return overviewOf(q, s.snapshot(ctx)), nil
}

func (s *Server) followOverview(ctx context.Context, q *request, send func(any) error) error {
	return s.o.Cluster.Watch(ctx, func(snapshot cluster.Snapshot) error { return send(overviewOf(q, snapshot)) })
}
