package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// objects is how many ConfigMaps are in the namespace default when checkpoints are measured, each of 800 bytes.
const objects = 5000

// checkpoints measures checkpoints and forks of a running cluster with 5,000 objects.
func (b *bench) checkpoints(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	if err := fill(ctx, client); err != nil {
		return err
	}
	other := b.name + "-fork"
	steps := []struct {
		what string
		goal time.Duration
		args []string
		took []time.Duration
	}{
		{what: "checkpoint save, 5,000 objects", goal: time.Second, args: []string{"checkpoint", "save", "bench", "-p", b.name}},
		{what: "checkpoint restore, nodes running", goal: 3 * time.Second, args: []string{"checkpoint", "restore", "bench", "-p", b.name}},
		{what: "fork of a checkpoint, 3 nodes", goal: 5 * time.Second, args: []string{"fork", "bench", "--as", other, "-p", b.name}},
	}
	for range b.runs {
		for i := range steps {
			took, err := b.timed(ctx, steps[i].args...)
			if err != nil {
				return err
			}
			steps[i].took = append(steps[i].took, took)
		}
		for _, undo := range [][]string{{"delete", "-p", other}, {"checkpoint", "delete", "bench", "-p", b.name}} {
			if err := b.bonsai(ctx, undo...); err != nil {
				return err
			}
		}
	}
	for _, s := range steps {
		report(s.what, s.goal, result{took: middle(s.took)})
	}
	return client.CoreV1().ConfigMaps(metav1.NamespaceDefault).DeleteCollection(ctx, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "bench"})
}

func fill(ctx context.Context, client kubernetes.Interface) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range objects {
		g.Go(func() error {
			m := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("bench-%d", i), Labels: map[string]string{"bench": ""}},
				Data:       map[string]string{"text": strings.Repeat("x", 800)},
			}
			_, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, m, metav1.CreateOptions{})
			return err
		})
	}
	return g.Wait()
}

// guardian kills the control plane and measures until its API answers again without a hand.
func (b *bench) guardian(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	// The guardian waits longer before each further restart of the same ten minutes, so there is only one.
	pid, err := b.daemonPID()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	begin := time.Now()
	limited, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the API does not answer a minute after the kill"))
	defer cancel()
	for {
		_, err := client.CoreV1().Namespaces().Get(limited, metav1.NamespaceDefault, metav1.GetOptions{})
		if err == nil {
			break
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("%w: %w (logs in %s)", context.Cause(limited), err, filepath.Join(b.home, "clusters", b.name, "logs"))
		case <-time.After(10 * time.Millisecond):
		}
	}
	report("control plane killed: API answers again", 3*time.Second, result{took: time.Since(begin)})
	return nil
}
