package session

import "bonsai/bootstrap/cluster"

// Checkpoints are those of the cluster, the newest first. Operate saves, restores and deletes them.
func (s *Session) Checkpoints() ([]cluster.Checkpoint, error) {
	return s.o.Engine.Checkpoints(s.o.Name)
}
