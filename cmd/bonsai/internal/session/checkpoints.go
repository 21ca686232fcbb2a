package session

import (
	"context"

	"bonsai/bootstrap/cluster"
)

// Checkpoints are those of the cluster, the newest first. Operate saves, restores and deletes them.
func (s *Session) Checkpoints(ctx context.Context) ([]cluster.Checkpoint, error) {
	list, err := s.o.Engine.Checkpoints(s.o.Name)
	return list, s.explain(ctx, "list checkpoints", err)
}

// Doctor looks at this machine.
func (s *Session) Doctor(ctx context.Context, fix bool) ([]cluster.Check, error) {
	list, err := s.o.Engine.Doctor(ctx, fix)
	return list, s.explain(ctx, "look at this machine", err)
}
