// Package etcd runs upstream's etcd inside this process, for one client: the API server beside it.
package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"google.golang.org/grpc"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/config"
)

// Server is a running etcd.
type Server struct {
	etcd  *embed.Etcd
	quota int64

	mu      sync.Mutex // guards the rest
	shares  []cluster.StoreShare
	counted time.Time // when they were
}

// Options are what Start needs besides its configuration.
type Options struct {
	// LogTo gets etcd's own log, lines of JSON.
	LogTo io.Writer
	// Say is called with the reason before etcd ends the process.
	Say func(reason string)
	Log *slog.Logger
	// GRPC are for the server that serves clients.
	GRPC []grpc.ServerOption
	// Quota is the size of the data file at which etcd refuses writes; zero is DefaultQuota.
	Quota int64
	// Restoring replaces the data first; the caller calls Keep once the cluster works with it. Nil: the data stays.
	Restoring *Restoring
}

// Start opens the data in c.EtcdDir and returns once the member leads and serves, or ctx ends. If the data file is
// large, it is made smaller first. If an earlier process has replaced the data and ended before Keep, the old data is
// back.
func Start(ctx context.Context, c config.Config, o Options) (*Server, error) {
	cfg, err := configure(c)
	if err != nil {
		return nil, err
	}
	if err := goBack(c.EtcdDir); err != nil {
		return nil, err
	}
	if o.Restoring != nil {
		if err := Restore(c.EtcdDir, *o.Restoring); err != nil {
			return nil, fmt.Errorf("replace etcd's data: %w", err)
		}
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(o.LogTo, o.Say))
	cfg.GRPCAdditionalServerOptions = append(cfg.GRPCAdditionalServerOptions, o.GRPC...)
	file := dataFile(c.EtcdDir)
	if err := checkData(file); err != nil {
		return nil, err
	}
	cfg.QuotaBackendBytes = quotaFor(file, cmp.Or(o.Quota, DefaultQuota))
	e, err := open(cfg)
	if err != nil {
		return nil, err
	}
	if err := waitReady(ctx, e); err != nil {
		// Close waits for what begins to serve, which waits until the member leads or stops.
		e.Server.HardStop()
		e.Close()
		return nil, err
	}
	s := &Server{etcd: e, quota: cfg.QuotaBackendBytes}
	if err := s.makeRoom(ctx, o.Log); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// open is embed.StartEtcd, which panics when some parts of the data cannot be read.
func open(cfg *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = damageError(cfg.Dir, fmt.Errorf("etcd panics: %v", r))
		}
	}()
	e, err = embed.StartEtcd(cfg)
	switch {
	case isDamage(err):
		return nil, damageError(cfg.Dir, err)
	case err != nil:
		return nil, fmt.Errorf("open etcd's data in %s: %w", cfg.Dir, err)
	}
	return e, nil
}

// openLimit bounds the wait for another process that has the data file open.
const openLimit = time.Second

// checkData checks whether the data file can be opened. etcd itself panics if it cannot, in its own goroutine
// (server/storage/backend).
func checkData(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: openLimit})
	if err == nil {
		err = db.Close()
	}
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return fmt.Errorf("etcd's data file %s is in use by another process", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("etcd's data file cannot be opened: %w", err)
	}
	if err != nil {
		return fmt.Errorf("etcd's data file %s is damaged: %w; restore a copy of it, or delete the cluster and start it again", path, err)
	}
	return nil
}

// Wait blocks until the server has ended, and returns why if it was not stopped, or until ctx ends.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case err := <-s.etcd.Err():
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("it stopped on its own; its log says why")
	case <-ctx.Done():
		return nil
	}
}

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
	// What was written survives the end of this process nevertheless: it is the kernel's then.
	cfg.UnsafeNoFsync = c.Volatile
	// Both on sockets in a private folder: no TCP, no TLS, no other local user.
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// A single member waits for one election before it leads. It lasts n to 2n-1 ticks, n being their number in ElectionMs and at
	// least five; the first n-1 are skipped (EtcdServer.adjustTicks). So this is one to five ticks, 54 ms on average. Shorter
	// ticks wake an idle process more often, for good.
	cfg.TickMs, cfg.ElectionMs = 18, 90
	// PreVote asks other members first; there are none.
	cfg.PreVote = false
	// Fewer kept files: this is a laptop's disk. Data is still synced to it, but for UnsafeNoFsync.
	cfg.SnapshotCount, cfg.MaxSnapFiles, cfg.MaxWalFiles = 5000, 2, 2
	// The API server compacts every five minutes itself.
	cfg.AutoCompactionRetention = "0"
	// These notifications let the watch cache of the API server know how fresh it is.
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	// The next WAL segment is allocated in advance: 2 x 64 MB per cluster by default.
	wal.SegmentSizeBytes = 8 << 20
	return cfg, nil
}
