package session

import (
	"context"

	"bonsai/bootstrap/cluster"
)

// Birth sends how a pod came to be, again after each change until it is complete.
func (s *Session) Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error {
	own := &callback{}
	err := s.daemon().Birth(ctx, namespace, name, func(v cluster.Birth) error { return own.keep(f(v)) })
	if own.err != nil {
		return own.err
	}
	return s.explain(ctx, "ask how "+name+" came to be", err)
}
