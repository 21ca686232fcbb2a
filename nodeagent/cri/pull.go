package cri

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pull pulls an image as kubelet does for a pod without pull secrets.
func (l *Lister) Pull(ctx context.Context, ref string) error {
	_, err := l.images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: ref}})
	if err != nil {
		return fmt.Errorf("pull %s: %s", ref, status.Convert(err).Message())
	}
	return nil
}
