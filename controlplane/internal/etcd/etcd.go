// Package etcd runs upstream's etcd inside this process, for one client: the API server beside it.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"

	"bonsai/controlplane/config"
)

// Server is a running etcd.
type Server struct{ etcd *embed.Etcd }

// Start opens the data in c.EtcdDir and returns once the member leads and serves, or ctx ends. The options are for the
// gRPC server that serves clients.
func Start(ctx context.Context, c config.Config, options ...grpc.ServerOption) (*Server, error) {
	cfg, err := configure(c)
	if err != nil {
		return nil, err
	}
	cfg.GRPCAdditionalServerOptions = append(cfg.GRPCAdditionalServerOptions, options...)
	if err := checkData(filepath.Join(c.EtcdDir, "member", "snap", "db")); err != nil {
		return nil, err
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("open etcd data in %s: %w", c.EtcdDir, err)
	}
	s := &Server{etcd: e}
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case err := <-e.Err():
		s.Stop()
		return nil, fmt.Errorf("start etcd: %w", err)
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("wait for etcd to elect itself: %w", context.Cause(ctx))
	}
}

// checkData checks whether the data file can be opened. etcd itself panics if it cannot, in its own goroutine
// (server/storage/backend).
func checkData(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return fmt.Errorf("etcd's data file %s is damaged: %w; restore a copy of it, or delete the cluster and start it again", path, err)
	}
	return nil
}

// Err delivers the error that ended the server, if it was not stopped.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Size is the size of the data file in bytes.
func (s *Server) Size() int64 { return s.etcd.Server.Backend().Size() }

// Count counts the keys that begin with prefix, which ends with a slash, from the index in memory.
func (s *Server) Count(ctx context.Context, prefix string) (int, error) {
	const afterSlash = string('/' + 1)
	end := strings.TrimSuffix(prefix, "/") + afterSlash
	r, err := s.etcd.Server.KV().Range(ctx, []byte(prefix), []byte(end), mvcc.RangeOptions{CountOnly: true})
	if err != nil {
		return 0, fmt.Errorf("count keys: %w", err)
	}
	return r.Count, nil
}

// Stop stops the server after its last client has gone; it blocks until the data is closed.
func (s *Server) Stop() { s.etcd.Close() }

func configure(c config.Config) (*embed.Config, error) {
	for _, dir := range []string{c.EtcdDir, c.RunDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("create etcd's folder: %w", err)
		}
	}
	// A socket file left by a process that was killed would make the bind fail.
	for _, name := range []string{"etcd.sock", "peer.sock"} {
		if err := os.Remove(filepath.Join(c.RunDir, name)); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("remove stale socket: %w", err)
		}
	}
	client, err := url.Parse(c.EtcdURL())
	if err != nil {
		return nil, err
	}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(c.RunDir, "peer.sock")}

	cfg := embed.NewConfig()
	cfg.Name = "bonsai"
	cfg.Dir = c.EtcdDir
	// Both on sockets in a private folder: no TCP, no TLS, no other local user.
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// A single member waits for one election before it leads: up to ten ticks, which are 100 ms by default. An election
	// has to last at least five ticks.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	// PreVote asks other members first; there are none.
	cfg.PreVote = false
	// Fewer kept files: this is a laptop's disk. Data is still synced to it (UnsafeNoFsync stays false).
	cfg.SnapshotCount, cfg.MaxSnapFiles, cfg.MaxWalFiles = 5000, 2, 2
	// The API server compacts every five minutes itself.
	cfg.AutoCompactionRetention = "0"
	// These notifications let the watch cache of the API server know how fresh it is.
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	// Its own files have no bound, so it gets a logger that writes where the others do.
	cfg.Logger, cfg.LogLevel = "zap", "warn"
	core := zapcore.NewSamplerWithOptions(zapcore.NewCore(zapcore.NewJSONEncoder(logutil.DefaultZapLoggerConfig.EncoderConfig), zapcore.AddSync(c.EtcdLog), zap.WarnLevel),
		time.Second, 100, 100) // of one message, as etcd does
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(core, zap.AddCaller()))
	// The next WAL segment is allocated in advance: 2 x 64 MB per cluster by default.
	wal.SegmentSizeBytes = 8 << 20
	return cfg, nil
}
