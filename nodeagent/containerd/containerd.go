// Package containerd does not run containerd; it writes the files that the node's containerd reads at its start (its
// own configuration and where to pull images from) and talks to it over its socket: version, images, tasks.
//
// It uses containerd's gRPC interfaces directly and not its full client library, which would double the agent.
// Begin reading at Config for the files, at Client for the rest.
package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"bonsai/bootstrap/atomicfile"
)

const (
	// Socket serves containerd's own API and CRI. The path is cAdvisor's default, which kubelet cannot change.
	Socket = "/run/containerd/containerd.sock"
	// ConfigFile and CertsDir are written at each boot.
	ConfigFile = "/etc/containerd/config.toml"
	CertsDir   = "/etc/containerd/certs.d"
	// RootDir is on the node's /var volume: snapshots cannot be created on the container's own overlay.
	RootDir = "/var/lib/containerd"
	// namespace is where CRI keeps everything.
	namespace = "k8s.io"
)

// Client talks to containerd. It may be created before containerd runs, survives its restarts, and is safe for
// concurrent use. The owner closes it.
type Client struct {
	conn        *grpc.ClientConn
	snapshotter string
}

// NewClient connects lazily to containerd's socket. Imports unpack into snapshotter.
func NewClient(socket, snapshotter string) (*Client, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		// A unix socket in a folder that belongs to root.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// containerd starts in tens of milliseconds; gRPC's usual first pause of a second would dominate the start.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.6, Jitter: 0.1, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("connect to containerd at %s: %w", socket, err)
	}
	return &Client{conn: conn, snapshotter: snapshotter}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Conn is the connection, for other APIs of the same socket (CRI).
func (c *Client) Conn() *grpc.ClientConn { return c.conn }

// Version asks containerd for its version; it fails at once when containerd does not answer.
func (c *Client) Version(ctx context.Context) (string, error) { return c.version(ctx) }

// WaitReady blocks until containerd answers or ctx ends.
func (c *Client) WaitReady(ctx context.Context) (version string, err error) {
	return c.version(ctx, grpc.WaitForReady(true))
}

func (c *Client) version(ctx context.Context, opts ...grpc.CallOption) (string, error) {
	v, err := versionapi.NewVersionClient(c.conn).Version(ctx, &emptypb.Empty{}, opts...)
	if err != nil {
		return "", fmt.Errorf("ask containerd for its version: %w", err)
	}
	return v.Version, nil
}

func inNamespace(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, namespace)
}

func (c *Client) tasks() tasksapi.TasksClient { return tasksapi.NewTasksClient(c.conn) }

// writeFile replaces a file as a whole, and makes its folder.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, data, mode, atomicfile.Options{})
}
