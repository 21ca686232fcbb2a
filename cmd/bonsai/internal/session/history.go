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
	q := cluster.HistoryQuery{Limit: mostChanges, Status: status, ObjectQuery: cluster.ObjectQuery{Type: ref.Type.Resource, Namespace: ref.Namespace, Name: ref.Name}}
	if ref.Type.Group != "" {
		q.Type += "." + ref.Type.Group
	}
	h, err := s.daemon().History(ctx, q)
	return h, s.explain(ctx, "ask what has happened to "+what, err)
}
