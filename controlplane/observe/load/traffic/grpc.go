package traffic

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rangeStream is how the API server may read long lists; the other streams stay open.
const rangeStream = "/etcdserverpb.KV/RangeStream"

// EtcdOptions count the requests to a gRPC server of etcd.
func (c *Counters) EtcdOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			begin := time.Now()
			c.etcd.begun.Add(1)
			resp, err := handler(ctx, req)
			c.etcd.end(time.Since(begin), etcdFailed(err))
			return resp, err
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if info.FullMethod != rangeStream {
				return handler(srv, ss)
			}
			begin := time.Now()
			c.etcd.begun.Add(1)
			err := handler(srv, ss)
			c.etcd.end(time.Since(begin), etcdFailed(err))
			return err
		}),
	}
}

// etcdFailed excludes errors that are answers: that a revision was compacted, or that the client disconnected.
func etcdFailed(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return false
}
