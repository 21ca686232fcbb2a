package builtinimages

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"bonsai/bootstrap/wait"
)

const (
	// maxMessage is what a kubelet accepts (maxMsgSize in upstream's cri-client).
	maxMessage = 16 << 20
	// knownLimit is how long containerd's CRI may take to notice an image that was imported; it does so by events, within
	// milliseconds.
	knownLimit = 2 * time.Second
	knownPause = 10 * time.Millisecond
)

// Proxy is an image service of CRI that knows the images of the payload, in front of containerd's.
type Proxy struct {
	runtimeapi.UnimplementedImageServiceServer
	next runtimeapi.ImageServiceClient
	// ensure imports an image of the payload unless it is there.
	ensure func(ctx context.Context, image string) error
	scale  wait.Scale
	log    *slog.Logger
}

// Serve answers at the unix socket until ctx ends; the returned function waits for that. It connects to runtime, another socket,
// when it is asked for the first time. ensure has Part import an image that it calls so.
func Serve(ctx context.Context, socket, runtime string, ensure func(ctx context.Context, image string) error, scale wait.Scale, log *slog.Logger) (stopped func(), err error) {
	conn, err := grpc.NewClient("unix://"+runtime, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", runtime, err)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) { // of the process before
		return nil, errors.Join(err, conn.Close())
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), conn.Close())
	}
	// The folder, too, is root's alone.
	if err := os.Chmod(socket, 0o600); err != nil {
		return nil, errors.Join(err, l.Close(), conn.Close())
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage))
	runtimeapi.RegisterImageServiceServer(server, &Proxy{next: runtimeapi.NewImageServiceClient(conn), ensure: ensure, scale: scale, log: log})
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); err != nil {
			log.Error("the kubelet no longer reaches the image service", "cause", err)
		}
	})
	serving.Go(func() {
		<-ctx.Done()
		server.Stop()
		_ = conn.Close()
	})
	return serving.Wait, nil
}

// ListImages implements runtimeapi.ImageServiceServer.
func (p *Proxy) ListImages(ctx context.Context, r *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	return p.next.ListImages(ctx, r)
}

// StreamImages implements runtimeapi.ImageServiceServer.
func (p *Proxy) StreamImages(r *runtimeapi.StreamImagesRequest, out runtimeapi.ImageService_StreamImagesServer) error {
	in, err := p.next.StreamImages(out.Context(), r)
	for err == nil {
		var m *runtimeapi.StreamImagesResponse
		if m, err = in.Recv(); err == nil {
			err = out.Send(m)
		}
	}
	return ended(err)
}

// ImageStatus implements runtimeapi.ImageServiceServer. An image of the payload is always present.
func (p *Proxy) ImageStatus(ctx context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	answer, err := p.next.ImageStatus(ctx, r)
	name := builtin(r.GetImage().GetImage())
	if err != nil || name == "" || answer.GetImage() != nil {
		return answer, err
	}
	if _, err := p.bring(ctx, name, r.GetImage()); err != nil {
		p.log.Warn("an image of the payload cannot be imported", "image", name, "cause", err)
		return answer, nil // it is absent, and what follows says why
	}
	return p.next.ImageStatus(ctx, r)
}

// PullImage implements runtimeapi.ImageServiceServer. No registry is asked for an image of the payload.
func (p *Proxy) PullImage(ctx context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	name := builtin(r.GetImage().GetImage())
	if name == "" {
		return p.next.PullImage(ctx, r)
	}
	id, err := p.bring(ctx, name, r.GetImage())
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "import %s from the node's own payload: %v", name, err)
	}
	return &runtimeapi.PullImageResponse{ImageRef: id}, nil
}

// RemoveImage implements runtimeapi.ImageServiceServer.
func (p *Proxy) RemoveImage(ctx context.Context, r *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	return p.next.RemoveImage(ctx, r)
}

// ImageFsInfo implements runtimeapi.ImageServiceServer.
func (p *Proxy) ImageFsInfo(ctx context.Context, r *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	return p.next.ImageFsInfo(ctx, r)
}

// bring imports an image, and returns its ID once CRI knows it.
func (p *Proxy) bring(ctx context.Context, name string, image *runtimeapi.ImageSpec) (id string, err error) {
	if err := p.ensure(ctx, Archive(name)); err != nil {
		return "", err
	}
	ctx, cancel := p.scale.Limit(ctx, knownLimit, "containerd to know the image")
	defer cancel()
	for {
		answer, err := p.next.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: image})
		if err != nil {
			return "", err
		}
		if id := answer.GetImage().GetId(); id != "" {
			return id, nil
		}
		if err := wait.Pause(ctx, knownPause); err != nil {
			return "", err
		}
	}
}

// ended is the error of a stream that is over.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
