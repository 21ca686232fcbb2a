package session

import (
	"cmp"
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// mostChanges is how many changes of one object are shown.
const mostChanges = 200

// History is what has happened to one object, the newest change first, or, if ref has no type and no name, to all of a
// namespace.
func (s *Session) History(ctx context.Context, ref kube.Ref, status bool) (cluster.History, error) {
	what := cmp.Or(ref.Name, "the cluster")
	ctx, cancel := s.limit(ctx, callLimit, "the history of "+what)
	defer cancel()
	q := cluster.HistoryQuery{Limit: mostChanges, Status: status, ObjectQuery: objectQuery(ref)}
	h, err := s.daemon().History(ctx, q)
	return h, s.explain(ctx, "ask what has happened to "+what, err)
}

// Revert makes an object as it was.
func (s *Session) Revert(ctx context.Context, ref kube.Ref, revision int64, dryRun bool) (cluster.Reverted, error) {
	ctx, cancel := s.limit(ctx, callLimit, "the revert of "+ref.Name)
	defer cancel()
	r, err := s.daemon().Revert(ctx, cluster.RevertRequest{ObjectQuery: objectQuery(ref), To: revision, DryRun: dryRun})
	return r, s.explain(ctx, "revert "+ref.Name, err)
}

func objectQuery(ref kube.Ref) cluster.ObjectQuery {
	q := cluster.ObjectQuery{Type: ref.Type.Resource, Namespace: ref.Namespace, Name: ref.Name}
	if ref.Type.Group != "" {
		q.Type += "." + ref.Type.Group
	}
	return q
}
