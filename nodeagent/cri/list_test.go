package cri

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Unix(1_700_000_000, 0)

func ago(d time.Duration) int64 { return now.Add(-d).UnixNano() }

const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// fakeRuntime is a runtime with one pod, two containers and two images.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer
}

func (fakeRuntime) ListContainers(context.Context, *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	labels := map[string]string{"io.kubernetes.pod.name": "web", "io.kubernetes.pod.namespace": "default"}
	return &runtimeapi.ListContainersResponse{Containers: []*runtimeapi.Container{
		{Id: "1" + id[1:], PodSandboxId: id, Image: &runtimeapi.ImageSpec{Image: "sha256:" + id}, State: runtimeapi.ContainerState_CONTAINER_EXITED,
			CreatedAt: ago(3 * time.Hour), Metadata: &runtimeapi.ContainerMetadata{Name: "ngx"}, Labels: labels},
		{Id: id, PodSandboxId: id, Image: &runtimeapi.ImageSpec{Image: "sha256:" + id}, State: runtimeapi.ContainerState_CONTAINER_RUNNING,
			CreatedAt: ago(5 * time.Second), Metadata: &runtimeapi.ContainerMetadata{Name: "ngx", Attempt: 1}, Labels: labels},
	}}, nil
}

func (fakeRuntime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{Items: []*runtimeapi.PodSandbox{
		{Id: id, State: runtimeapi.PodSandboxState_SANDBOX_READY, CreatedAt: ago(90 * time.Minute), Metadata: &runtimeapi.PodSandboxMetadata{Name: "web", Namespace: "default"}},
	}}, nil
}

func (fakeRuntime) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	return &runtimeapi.ListImagesResponse{Images: []*runtimeapi.Image{
		{Id: "sha256:" + id, RepoTags: []string{"localhost:5000/nginx:alpine"}, Size: 42_300_000},
		{Id: "sha256:2" + id[1:], Size: 1200},
	}}, nil
}

func lister(t *testing.T) *Lister {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(s, fakeRuntime{})
	runtimeapi.RegisterImageServiceServer(s, fakeRuntime{})
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
	lister := New(conn)
	lister.Now = now
	return lister
}

func TestTables(t *testing.T) {
	l := lister(t)
	for _, c := range []struct {
		kind string
		all  bool
		want string
	}{
		{"ps", false, "CONTAINER IMAGE CREATED STATE NAME ATTEMPT POD ID POD NAMESPACE\n" +
			"0123456789abc localhost:5000/nginx:alpine 5 seconds ago Running ngx 1 0123456789abc web default\n"},
		{"ps", true, "CONTAINER IMAGE CREATED STATE NAME ATTEMPT POD ID POD NAMESPACE\n" +
			"0123456789abc localhost:5000/nginx:alpine 5 seconds ago Running ngx 1 0123456789abc web default\n" +
			"1123456789abc localhost:5000/nginx:alpine 3 hours ago Exited ngx 0 0123456789abc web default\n"},
		{"pods", false, "POD ID CREATED STATE NAME NAMESPACE ATTEMPT\n" +
			"0123456789abc 1 hours ago Ready web default 0\n"},
		{"images", false, "IMAGE TAG IMAGE ID SIZE\n" +
			"<none> <none> 2123456789abc 1.2kB\n" +
			"localhost:5000/nginx alpine 0123456789abc 42.3MB\n"},
	} {
		var b bytes.Buffer
		if err := l.List(t.Context(), &b, c.kind, c.all); err != nil {
			t.Errorf("%s: %v", c.kind, err)
			continue
		}
		if got := squeeze(b.String()); got != c.want {
			t.Errorf("%s (all %v):\n%s\nwant:\n%s", c.kind, c.all, got, c.want)
		}
	}
	if err := l.List(t.Context(), &bytes.Buffer{}, "logs", false); err == nil || !strings.Contains(err.Error(), "ps, pods or images") {
		t.Errorf("an unknown listing gives %v", err)
	}
}

// squeeze makes columns independent of their width.
func squeeze(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}
