package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// What a push of 200 MB and its pull in three nodes may take, and the memory that the registry may take.
	pushGoal, registryPullGoal = 2 * time.Second, 4 * time.Second
	registryMemory             = 25
	// benchRegistry is a registry that only a mirror has: the cluster's own, as the cache sees it.
	benchRegistry = "cached.bonsai.test"
)

// registry measures how long the engine takes to push an image of 200 MB into the cluster's registry, and three nodes to pull it: from
// there, then through the cache, then from what the cache has kept.
func (b *bench) registry(ctx context.Context) error {
	before, err := b.daemonMemory()
	if err != nil {
		return err
	}
	took, err := b.timed(ctx, "addons", "enable", "-p", b.name, "registry")
	report("enable of the registry", pushGoal, result{took, err})
	if err != nil {
		return err
	}
	var pushes, pulls, firsts, kept []time.Duration
	for i := range b.runs {
		if err := b.pushAndPull(ctx, i, &pushes, &pulls, &firsts, &kept); err != nil {
			return err
		}
	}
	after, err := b.daemonMemory()
	if err != nil {
		return err
	}
	report("docker push of 200 MB", pushGoal, result{took: middle(pushes)})
	report("pull of 200 MB in three nodes", registryPullGoal, result{took: middle(pulls)})
	report("the same through the cache, fetched", registryPullGoal, result{took: middle(firsts)})
	report("the same through the cache, kept", registryPullGoal, result{took: middle(kept)})
	fmt.Printf("%-44s %5d MB  (goal %d MB)\n", "memory that the daemon has more", after-before, registryMemory)
	return errors.Join(b.bonsai(ctx, "addons", "disable", "-p", b.name, "registry", "registry-cache"),
		b.bonsai(ctx, "registry", "mirror", "remove", "-p", b.name, benchRegistry), b.bonsai(ctx, "registry", "cache", "clear"))
}

// pushAndPull measures one image of new content.
func (b *bench) pushAndPull(ctx context.Context, i int, pushes, pulls, firsts, kept *[]time.Duration) (err error) {
	port, err := b.registryPort()
	if err != nil {
		return err
	}
	at := "localhost:" + strconv.Itoa(port)
	image := fmt.Sprintf("%s/%s-big:%d", at, b.name, i)
	archive := filepath.Join(b.home, "big.tar")
	if err := writeImage(archive, image, map[string][]byte{"a-base": random(baseLayer)}); err != nil {
		return err
	}
	if err := docker(ctx, "load", "--quiet", "--input", archive); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, docker(context.WithoutCancel(ctx), "image", "rm", image)) }()
	began := time.Now()
	if err := docker(ctx, "push", image); err != nil {
		return err
	}
	*pushes = append(*pushes, time.Since(began))
	pull := func(name string, to *[]time.Duration) error {
		took, err := b.timed(ctx, "image", "pull", "-p", b.name, name)
		*to = append(*to, took)
		return errors.Join(err, b.bonsai(ctx, "image", "rm", "-p", b.name, name))
	}
	if err := pull(image, pulls); err != nil {
		return err
	}
	if err := errors.Join(b.bonsai(ctx, "addons", "enable", "-p", b.name, "registry-cache"),
		b.bonsai(ctx, "registry", "mirror", "add", "-p", b.name, benchRegistry, "http://"+at)); err != nil {
		return err
	}
	cached := strings.Replace(image, at, benchRegistry, 1)
	return errors.Join(pull(cached, firsts), pull(cached, kept), b.bonsai(ctx, "registry", "rm", "-p", b.name, image))
}

func (b *bench) registryPort() (int, error) {
	var r struct {
		Port int `json:"port"`
	}
	data, err := os.ReadFile(filepath.Join(b.home, "clusters", b.name, "registry.json"))
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(data, &r)
	return r.Port, err
}

// daemonMemory is what the daemon has in megabytes that no file backs.
func (b *bench) daemonMemory() (int, error) {
	pid, err := b.daemonPID()
	if err != nil {
		return 0, err
	}
	return memory([]int{pid}, "Anonymous:"), nil
}
