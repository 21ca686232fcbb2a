package podtimes

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	sandboxapi "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const uid = "0b5ee58b-4bd3-44b1-92bd-0a9b44dcf3f3"

// at is a moment with nanoseconds.
func at(seconds int64) time.Time { return time.Unix(seconds, 123456789).UTC() }

// fakeRuntime has one pod, whose sandbox and container were made twice.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	sandboxapi.UnimplementedStoreServer
	containers map[string]*runtimeapi.ContainerStatus
	kept       bool // containerd has its own record of the sandbox
}

func (f *fakeRuntime) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	if r.Filter.LabelSelector[podLabel] != uid {
		return &runtimeapi.ListPodSandboxResponse{}, nil
	}
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{
		{Id: "later", CreatedAt: at(90).UnixNano(), Metadata: &runtimeapi.PodSandboxMetadata{Attempt: 2}},
		{Id: "first", CreatedAt: at(10).UnixNano(), Metadata: &runtimeapi.PodSandboxMetadata{Attempt: 1}},
	}}, nil
}

func (f *fakeRuntime) Get(ctx context.Context, r *sandboxapi.StoreGetRequest) (*sandboxapi.StoreGetResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if !f.kept || r.SandboxID != "first" || !slices.Contains(md["containerd-namespace"], criNamespace) {
		return nil, status.Error(codes.NotFound, "no such sandbox")
	}
	return &sandboxapi.StoreGetResponse{Sandbox: &types.Sandbox{CreatedAt: timestamppb.New(at(8)), UpdatedAt: timestamppb.New(at(12))}}, nil
}

func (f *fakeRuntime) ListContainers(_ context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	resp := &runtimeapi.ListContainersResponse{}
	if r.Filter.LabelSelector[podLabel] == uid {
		for id, c := range f.containers {
			resp.Containers = append(resp.Containers, &runtimeapi.Container{Id: id, Metadata: c.Metadata})
		}
		resp.Containers = append(resp.Containers, &runtimeapi.Container{Id: "gone", Metadata: &runtimeapi.ContainerMetadata{Name: "gone"}})
	}
	return resp, nil
}

func (f *fakeRuntime) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	c, ok := f.containers[r.ContainerId]
	if !ok {
		return nil, status.Error(codes.NotFound, "it was just removed")
	}
	return &runtimeapi.ContainerStatusResponse{Status: c}, nil
}

func reader(t *testing.T, f *fakeRuntime) *Reader {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(s, f)
	sandboxapi.RegisterStoreServer(s, f)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		s.Stop()
		<-done
	})
	return New(t.TempDir(), conn)
}

func TestRuntimeTimes(t *testing.T) {
	f := &fakeRuntime{kept: true, containers: map[string]*runtimeapi.ContainerStatus{
		"m2": {Metadata: &runtimeapi.ContainerMetadata{Name: "main", Attempt: 4}, CreatedAt: at(80).UnixNano(), StartedAt: at(81).UnixNano()},
		"m1": {Metadata: &runtimeapi.ContainerMetadata{Name: "main", Attempt: 3}, CreatedAt: at(20).UnixNano(), StartedAt: at(21).UnixNano(),
			FinishedAt: at(22).UnixNano(), ExitCode: 7, Reason: "Error"},
		"i": {Metadata: &runtimeapi.ContainerMetadata{Name: "init"}, CreatedAt: at(15).UnixNano()},
	}}
	got, err := reader(t, f).Pod(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Sandbox; s == nil || s.Attempt != 1 || !s.Begun.Equal(at(8)) || !s.Done.Equal(at(12)) {
		t.Errorf("sandbox is %+v, want the oldest with containerd's own times", s)
	}
	if len(got.Containers) != 2 || got.Containers[0].Name != "init" || !got.Containers[0].Created.Equal(at(15)) || !got.Containers[0].Started.IsZero() {
		t.Fatalf("containers are %+v, want init first, not started", got.Containers)
	}
	m := got.Containers[1]
	if m.Name != "main" || m.Attempt != 3 || !m.Created.Equal(at(20)) || !m.Started.Equal(at(21)) || !m.Finished.Equal(at(22)) || m.ExitCode != 7 || m.Reason != "Error" {
		t.Errorf("main is %+v, want the oldest attempt", m)
	}
	if !got.Begun.IsZero() || !got.Filled.IsZero() || !m.Prepared.IsZero() {
		t.Errorf("times of folders that are not there: %+v", got)
	}
	f.kept = false
	if got, err := reader(t, f).Pod(t.Context(), uid); err != nil || got.Sandbox == nil || !got.Sandbox.Begun.IsZero() || !got.Sandbox.Done.Equal(at(10)) {
		t.Errorf("with CRI alone: %+v, %v", got.Sandbox, err)
	}
}

func TestFolderTimes(t *testing.T) {
	r := reader(t, &fakeRuntime{})
	dir := filepath.Join(r.dir, uid)
	mkdir := func(parts ...string) string {
		t.Helper()
		path := filepath.Join(append([]string{dir}, parts...)...)
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before := time.Now().Add(-time.Second) // file systems' clocks are a little behind
	mkdir("containers", "main")
	mkdir("volumes", "kubernetes.io~empty-dir", "scratch")
	mkdir("volumes", "kubernetes.io~csi", "disk") // its time is ignored
	token := mkdir("volumes", "kubernetes.io~projected", "token")
	if err := os.Symlink("x", filepath.Join(token, "..data")); err != nil {
		t.Fatal(err)
	}
	got, err := r.Pod(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(token, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Begun.Before(before) || got.Begun.After(time.Now()) || !got.Filled.Equal(info.ModTime()) || got.Volumes != 3 {
		t.Errorf("got %+v, want begun just now, filled at %s, 3 volumes", got, info.ModTime())
	}
	if got.Sandbox == nil || got.Containers != nil {
		t.Errorf("got %+v", got)
	}
}

func TestOtherPods(t *testing.T) {
	r := reader(t, &fakeRuntime{})
	if got, err := r.Pod(t.Context(), "1b5ee58b-4bd3-44b1-92bd-0a9b44dcf3f3"); err != nil || got.Sandbox != nil || got.Containers != nil {
		t.Errorf("a pod that is not here: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "..", "../" + uid, uid + "/x", "*"} {
		if _, err := r.Pod(t.Context(), bad); !errors.Is(err, ErrUID) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}
