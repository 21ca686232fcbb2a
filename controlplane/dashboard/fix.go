package dashboard

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fixes"
	"bonsai/bootstrap/kube"
)

// problemNamed is the problem with a key, as it is now; nil if it is gone.
func (s *Server) problemNamed(ctx context.Context, key string) *cluster.Problem {
	for _, p := range s.snapshot(ctx).Problems {
		if fixes.Key(&p) == key {
			return &p
		}
	}
	return nil
}

func (s *Server) watchFix(*request, *cluster.Problem, string, kube.Ref) string { return "" }
