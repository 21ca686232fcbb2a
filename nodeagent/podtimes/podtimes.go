// Package podtimes finds out afterwards when the parts of a pod were created. Nothing is recorded for it: containerd
// keeps the times of sandboxes and containers, and the folders that kubelet creates for a pod have their own.
package podtimes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/bootstrap/cluster"
)

// Dir is where kubelet keeps a folder for each pod.
const Dir = "/var/lib/kubelet/pods"

// ErrUID reports that a text cannot be the UID of a pod.
var ErrUID = errors.New("not the UID of a pod")

var uidFormat = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// podLabel is how kubelet marks the sandboxes and containers of a pod.
const podLabel = "io.kubernetes.pod.uid"

// criNamespace is where containerd's CRI keeps everything.
const criNamespace = "k8s.io"

// Reader queries one container runtime. It is safe for concurrent use.
type Reader struct {
	dir       string
	runtime   runtimeapi.RuntimeServiceClient
	sandboxes sandboxapi.StoreClient
}

// New returns a reader of kubelet's folder of pods and of containerd's socket.
func New(dir string, conn grpc.ClientConnInterface) *Reader {
	return &Reader{dir, runtimeapi.NewRuntimeServiceClient(conn), sandboxapi.NewStoreClient(conn)}
}

// Pod returns what is known about a pod. A pod that is not on this node has no times; that is not an error.
func (r *Reader) Pod(ctx context.Context, uid string) (p cluster.PodOnNode, err error) {
	if !uidFormat.MatchString(uid) {
		return p, fmt.Errorf("%q: %w", uid, ErrUID)
	}
	if err := r.folders(uid, &p); err != nil {
		return p, err
	}
	if err := r.sandbox(ctx, uid, &p); err != nil {
		return p, err
	}
	return p, r.containers(ctx, uid, &p)
}

// folders reads the times of kubelet's folder of a pod.
func (r *Reader) folders(uid string, p *cluster.PodOnNode) (err error) {
	dir := filepath.Join(r.dir, uid)
	if p.Begun, err = born(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	volumes, err := filepath.Glob(filepath.Join(dir, "volumes", "*", "*"))
	if err != nil {
		return fmt.Errorf("list the volumes of pod %s: %w", uid, err)
	}
	p.Volumes = len(volumes)
	for _, v := range volumes {
		if t := filled(v); t.After(p.Filled) {
			p.Filled = t
		}
	}
	return nil
}

// filled is when kubelet had set up a volume; zero if that is unknown. Tokens, ConfigMaps and the like are written to a
// new folder and activated by a link; any other volume is ready when its folder is.
func filled(volume string) time.Time {
	if info, err := os.Lstat(filepath.Join(volume, "..data")); err == nil {
		return info.ModTime()
	}
	if strings.HasPrefix(filepath.Base(filepath.Dir(volume)), "kubernetes.io~empty-dir") {
		t, err := born(volume)
		if err == nil {
			return t
		}
	}
	return time.Time{}
}

// born is when a file was created. On a file system that does not record it, it is the last change of its attributes.
func born(path string) (time.Time, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME|unix.STATX_CTIME, &st); err != nil {
		return time.Time{}, &fs.PathError{Op: "statx", Path: path, Err: err}
	}
	t := st.Ctime
	if st.Mask&unix.STATX_BTIME != 0 {
		t = st.Btime
	}
	return time.Unix(t.Sec, int64(t.Nsec)), nil
}

// sandbox finds the oldest sandbox that still exists.
func (r *Reader) sandbox(ctx context.Context, uid string, p *cluster.PodOnNode) error {
	list, err := r.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{podLabel: uid}}})
	if err != nil {
		return fmt.Errorf("list sandboxes of pod %s: %w", uid, err)
	}
	if len(list.Items) == 0 {
		return nil
	}
	oldest := slices.MinFunc(list.Items, func(a, b *runtimeapi.PodSandbox) int {
		return int(a.GetMetadata().GetAttempt()) - int(b.GetMetadata().GetAttempt())
	})
	p.Sandbox = &cluster.SandboxOnNode{Attempt: oldest.GetMetadata().GetAttempt(), Done: nanos(oldest.CreatedAt)}
	// CRI's time is that of the sandbox container, in the middle of the step. containerd's own record is created before
	// the network is, and last changed when the sandbox runs.
	kept, err := r.sandboxes.Get(namespaces.WithNamespace(ctx, criNamespace), &sandboxapi.StoreGetRequest{SandboxID: oldest.Id})
	if code := status.Code(err); code == codes.NotFound || code == codes.Unimplemented {
		return nil // it is just ending, or this is another runtime
	}
	if err != nil {
		return fmt.Errorf("ask for sandbox %s: %w", oldest.Id, err)
	}
	if s := kept.GetSandbox(); s.GetCreatedAt().IsValid() && s.GetUpdatedAt().IsValid() {
		p.Sandbox.Begun, p.Sandbox.Done = s.GetCreatedAt().AsTime(), s.GetUpdatedAt().AsTime()
	}
	return nil
}

// containers finds the oldest existing container of each name, in the order of their creation.
func (r *Reader) containers(ctx context.Context, uid string, p *cluster.PodOnNode) error {
	list, err := r.runtime.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: map[string]string{podLabel: uid}}})
	if err != nil {
		return fmt.Errorf("list containers of pod %s: %w", uid, err)
	}
	oldest := map[string]*runtimeapi.Container{}
	for _, c := range list.Containers {
		name := c.GetMetadata().GetName()
		if o := oldest[name]; o == nil || c.GetMetadata().GetAttempt() < o.GetMetadata().GetAttempt() {
			oldest[name] = c
		}
	}
	for name, c := range oldest {
		resp, err := r.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.Id})
		if status.Code(err) == codes.NotFound {
			continue
		}
		if err != nil {
			return fmt.Errorf("ask for container %s: %w", c.Id, err)
		}
		s := resp.GetStatus()
		one := cluster.ContainerOnNode{
			Name: name, Attempt: c.GetMetadata().GetAttempt(), Created: nanos(s.GetCreatedAt()), Started: nanos(s.GetStartedAt()),
			Finished: nanos(s.GetFinishedAt()), ExitCode: s.GetExitCode(), Reason: s.GetReason(),
		}
		// Kubelet creates this folder once the image is present.
		if t, err := born(filepath.Join(r.dir, uid, "containers", name)); err == nil {
			one.Prepared = t
		}
		p.Containers = append(p.Containers, one)
	}
	slices.SortFunc(p.Containers, func(a, b cluster.ContainerOnNode) int { return a.Created.Compare(b.Created) })
	return nil
}

// nanos converts CRI's times, in which 0 means none, to Go's.
func nanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
