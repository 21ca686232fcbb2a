package session

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
)

// DNSLog sends every question answered from now on, with the tries of one search folded into it.
func (s *Session) DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error {
	own := &callback{}
	err := s.daemon().DNSLog(ctx, cluster.DNSLogQuery{Fold: true}, watching, func(q cluster.DNSQuery) error { return own.keep(f(q)) })
	if own.err != nil {
		return own.err
	}
	if err == nil {
		err = fault.Newf(fault.NotRunning, "the cluster was stopped")
	}
	return s.explain(ctx, "watch cluster DNS", err)
}

// DNSStatus asks the servers of all nodes.
func (s *Session) DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error) {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the nodes' DNS servers")
	defer cancel()
	status, err := s.daemon().DNSStatus(ctx)
	return status, s.explain(ctx, "ask cluster DNS", err)
}

// DNSLookup asks for a name as a pod would.
func (s *Session) DNSLookup(ctx context.Context, name, kind, pod string) (cluster.DNSLookupResult, error) {
	ctx, cancel := s.limit(ctx, callLimit, "an answer from cluster DNS")
	defer cancel()
	answer, err := s.daemon().DNSLookup(ctx, cluster.DNSQuestion{Name: name, Type: kind, Pod: pod})
	return answer.DNSLookupResult, s.explain(ctx, "look up "+name, err)
}
