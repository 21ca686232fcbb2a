package main

import (
	"bufio"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestImagesOfArchivesCanBePulled(t *testing.T) {
	image, err := mutate.Config(empty.Image, v1.Config{Cmd: []string{"hello"}})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("registry.k8s.io/e2e-test-images/kitten:1.8")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "kitten.tar")
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"127.0.0.1:0", archive}, w) }()
	address, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	here, err := name.NewTag(strings.TrimSpace(address)+"/e2e-test-images/kitten:1.8", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(here)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil || len(config.Config.Cmd) != 1 || config.Config.Cmd[0] != "hello" {
		t.Errorf("pulled %+v, %v", config, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("after its end: %v", err)
	}
}

func TestAnArchiveThatIsMissingIsAnError(t *testing.T) {
	err := run(t.Context(), []string{"127.0.0.1:0", filepath.Join(t.TempDir(), "none.tar")}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "none.tar") {
		t.Errorf("got %v", err)
	}
}
