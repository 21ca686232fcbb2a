package dashboard

import (
	"context"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
)

// revisionView is a pod template that a workload has had.
type revisionView struct {
	kube.Revision
	// Was is what it changed of the one before; First says that none before it is kept.
	Was   difference
	First bool
	// Return is where one goes back to it; empty for the current one, and where nobody may.
	Return string
}

// revisionsOf are those of a workload, the newest first, each with what it changed.
func (s *Server) revisionsOf(ctx context.Context, q *request, ref kube.Ref, id string) ([]revisionView, error) {
	list, err := s.o.Objects.Revisions(ctx, ref)
	if err != nil {
		return nil, err
	}
	all := make([]revisionView, len(list))
	for i, r := range list {
		all[i] = revisionView{Revision: r, First: i == len(list)-1}
		if !all[i].First {
			all[i].Was = differenceOf(yamldiff.Flush(yamldiff.Of(list[i+1].Template, r.Template)))
		}
		if !r.Current && !q.session.readOnly {
			all[i].Return = "/confirm?" + parameters(kube.Action{Verb: kube.VerbRollback, Ref: ref, Revision: r.Number}, id).Encode()
		}
	}
	return all, nil
}
