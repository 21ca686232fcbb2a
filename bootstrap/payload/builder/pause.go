package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pauseRepository with the tag from upstream's Makefile is the sandbox image that the agent configures containerd
// with. It is in the payload so that no pod needs a registry for its sandbox.
const pauseRepository = "registry.k8s.io/pause"

// pauseImage compiles upstream's pause.c, which is part of the module, and writes it as a docker archive.
func pauseImage(ctx context.Context, target, work string) error {
	source, err := moduleDir(ctx, kubernetesModule)
	if err != nil {
		return err
	}
	source = filepath.Join(source, "build", "pause")
	tag, err := pauseTag(filepath.Join(source, "Makefile"))
	if err != nil {
		return err
	}
	tree := filepath.Join(work, "pause")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	// Upstream's flags without -Werror, whose effect depends on the compiler.
	if _, err := output(ctx, "", "gcc", "-Os", "-static", "-s", "-DVERSION=v"+tag,
		"-o", filepath.Join(tree, "pause"), filepath.Join(source, "linux", "pause.c")); err != nil {
		return err
	}
	return imageArchive(target, pauseRepository+":"+tag, tree, v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535", WorkingDir: "/"})
}

func pauseTag(makefile string) (string, error) {
	text, err := os.ReadFile(makefile)
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^TAG \?= (\S+)$`).FindSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("no TAG in %s", makefile)
	}
	return string(m[1]), nil
}
