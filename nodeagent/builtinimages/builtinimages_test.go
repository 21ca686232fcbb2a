package builtinimages

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNamesOfImagesOfThePayload(t *testing.T) {
	for name, want := range map[string]string{
		"bonsai/hello": "hello", "bonsai/hello:latest": "hello", "docker.io/bonsai/hello:latest": "hello", "docker.io/bonsai/tools": "tools",
		"bonsai/hello:1": "", "hello": "", "quay.io/bonsai/hello": "", "docker.io/library/hello": "", "BONSAI/hello": "", "": "",
		"bonsai/hello@sha256:0000000000000000000000000000000000000000000000000000000000000000": "",
	} {
		if got := Archive(name); got != want {
			t.Errorf("%q is image %q of the payload, want %q", name, got, want)
		}
	}
}

// imported is containerd as far as Part is concerned.
type imported struct{ names, digests []string }

func (i *imported) EnsureBuiltin(_ context.Context, name, file, digest string) error {
	if !strings.HasSuffix(file, "hello.tar") {
		return errors.New("no space left on device")
	}
	i.names, i.digests = append(i.names, name), append(i.digests, digest)
	return nil
}

func TestPartImportsWhatIsInThePayload(t *testing.T) {
	dir, node := t.TempDir(), &imported{}
	for _, name := range []string{"hello.tar", "tools.tar", "pause.tar"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := New(dir, node, 1)
	for path, want := range map[string]int{"/hello": http.StatusNoContent, "/tools": http.StatusInternalServerError, "/pause": http.StatusNotFound, "/..%2fhello": http.StatusNotFound, "/": http.StatusNotFound} {
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
	const digestOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	if len(node.names) != 1 || node.names[0] != "docker.io/bonsai/hello:latest" || node.digests[0] != digestOfX {
		t.Errorf("imported are %v with %v", node.names, node.digests)
	}
}

// images is containerd's image service: it has those in present, and pulls from a registry.
type images struct {
	runtimeapi.UnimplementedImageServiceServer
	mu      sync.Mutex // guards the rest
	present map[string]string
	pulled  []string
}

func (i *images) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if id, ok := i.present[r.Image.Image]; ok {
		return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: id}}, nil
	}
	return &runtimeapi.ImageStatusResponse{}, nil
}

func (i *images) PullImage(_ context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pulled = append(i.pulled, r.Image.Image)
	return nil, status.Error(codes.NotFound, "no such image: "+r.Image.Image)
}

func (i *images) StreamImages(_ *runtimeapi.StreamImagesRequest, out runtimeapi.ImageService_StreamImagesServer) error {
	for range 3 {
		if err := out.Send(&runtimeapi.StreamImagesResponse{Images: []*runtimeapi.Image{{Id: "a"}}}); err != nil {
			return err
		}
	}
	return nil
}

// serving is a Proxy in front of containerd, and a kubelet that asks it.
func serving(t *testing.T, ensure func(*images, string) error) (kubelet runtimeapi.ImageServiceClient, behind *images) {
	t.Helper()
	dir, err := os.MkdirTemp("", "images") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "unix", filepath.Join(dir, "containerd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	behind = &images{present: map[string]string{"docker.io/library/nginx:1": "sha256:nginx"}}
	server := grpc.NewServer()
	runtimeapi.RegisterImageServiceServer(server, behind)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-served })

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	socket := filepath.Join(dir, "images.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil { // left by the process before
		t.Fatal(err)
	}
	stopped, err := Serve(ctx, socket, filepath.Join(dir, "containerd.sock"),
		func(_ context.Context, image string) error { return ensure(behind, image) }, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); stopped() })
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return runtimeapi.NewImageServiceClient(conn), behind
}

func pull(t *testing.T, c runtimeapi.ImageServiceClient, image string) (string, error) {
	r, err := c.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: image}})
	return r.GetImageRef(), err
}

func present(t *testing.T, c runtimeapi.ImageServiceClient, image string) string {
	t.Helper()
	r, err := c.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: image}})
	if err != nil {
		t.Fatal(err)
	}
	return r.GetImage().GetId()
}

func TestImagesOfThePayloadNeedNoRegistry(t *testing.T) {
	asked := 0
	c, behind := serving(t, func(behind *images, image string) error {
		asked++
		behind.mu.Lock()
		defer behind.mu.Unlock()
		for _, name := range []string{"bonsai/" + image + ":latest", "docker.io/bonsai/" + image + ":latest"} {
			behind.present[name] = "sha256:" + image
		}
		return nil
	})
	if id, err := pull(t, c, "bonsai/hello:latest"); err != nil || id != "sha256:hello" {
		t.Errorf("pull returns %q, %v", id, err)
	}
	if id := present(t, c, "docker.io/bonsai/tools:latest"); id != "sha256:tools" {
		t.Errorf("the image that nobody pulled is %q", id)
	}
	if before := asked; present(t, c, "docker.io/bonsai/tools:latest") == "" || asked != before {
		t.Errorf("an image that is there was imported again")
	}

	// Everything else is containerd's.
	if id := present(t, c, "docker.io/library/nginx:1"); id != "sha256:nginx" {
		t.Errorf("nginx is %q", id)
	}
	if _, err := pull(t, c, "bonsai/hello:2"); status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no such image: bonsai/hello:2" {
		t.Errorf("the error of a registry becomes %v", err)
	}
	if len(behind.pulled) != 1 || asked != 2 {
		t.Errorf("registries were asked for %v, and the payload %d times", behind.pulled, asked)
	}
	if _, err := c.ListImages(t.Context(), &runtimeapi.ListImagesRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("what containerd does not implement becomes %v", err)
	}
	stream, err := c.StreamImages(t.Context(), &runtimeapi.StreamImagesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for {
		if _, err = stream.Recv(); err != nil {
			break
		}
		count++
	}
	if count != 3 || ended(err) != nil {
		t.Errorf("%d images streamed, %v", count, err)
	}
}

func TestAnImageThatCannotBeImported(t *testing.T) {
	c, _ := serving(t, func(*images, string) error { return errors.New("no space left on device") })
	if _, err := pull(t, c, "bonsai/hello"); err == nil || !strings.Contains(err.Error(), "import docker.io/bonsai/hello:latest from the node's own payload: no space left on device") {
		t.Errorf("the error is %v", err)
	}
	if id := present(t, c, "bonsai/hello"); id != "" {
		t.Errorf("it is present as %q", id)
	}
}
