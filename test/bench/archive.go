package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// archivePods is how many pods are in the archive, all of one image.
const archivePods = 6

// archive measures "start --from" a file with 318 MB of images, in a state folder that has none of them, until all pods are
// Ready.
func (b *bench) archive(ctx context.Context) error {
	busybox, err := os.ReadFile(b.busybox)
	if err != nil {
		return err
	}
	image, images := "bonsai.test/bench-archive:1", filepath.Join(b.home, "archive-image.tar")
	layers := map[string][]byte{"a": random(baseLayer), "b": random(118*topLayer - len(busybox)), "busybox": busybox}
	if err := writeImage(images, image, layers); err != nil {
		return err
	}
	if err := b.bonsai(ctx, "image", "load", "-p", b.name, images); err != nil {
		return err
	}
	client, err := b.client()
	if err != nil {
		return err
	}
	labels := map[string]string{"app": "bench-archive"}
	if _, err := client.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "bench-archive"},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(archivePods)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "main", Image: image, ImagePullPolicy: corev1.PullNever, Command: []string{"/busybox", "sleep", "3600"},
			}}}},
		},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := allReady(ctx, client); err != nil {
		return err
	}
	file := filepath.Join(b.home, "cluster.bonsai")
	if err := b.bonsai(ctx, "checkpoint", "export", file, "-p", b.name); err != nil {
		return err
	}
	var commands, all []time.Duration
	for range b.runs {
		command, ready, err := b.startFrom(ctx, file)
		if err != nil {
			return err
		}
		commands, all = append(commands, command), append(all, ready)
	}
	fmt.Printf("%-44s %8s\n", "start --from, 318 MB of images: the command", middle(commands).Round(time.Millisecond))
	report("start --from, 318 MB of images: pods Ready", 6*time.Second, result{took: middle(all)})
	return client.AppsV1().Deployments(metav1.NamespaceDefault).Delete(ctx, "bench-archive", metav1.DeleteOptions{})
}

// startFrom makes a cluster of the file and removes it. It returns how long the command took, and how long until all pods were
// Ready.
func (b *bench) startFrom(ctx context.Context, file string) (command, ready time.Duration, err error) {
	there := *b
	there.name = b.name + "-from"
	if there.home, err = os.MkdirTemp("", "bonsai-bench"); err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, there.bonsai(context.WithoutCancel(ctx), "delete", "-p", there.name), os.RemoveAll(there.home))
	}()
	begin := time.Now()
	if command, err = there.timed(ctx, "start", "-p", there.name, "--from", file); err != nil {
		return 0, 0, err
	}
	client, err := there.client()
	if err != nil {
		return 0, 0, err
	}
	err = allReady(ctx, client)
	return command, time.Since(begin), err
}

// allReady waits for the pods of the archive.
func allReady(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("not all pods are Ready after two minutes"))
	defer cancel()
	for {
		list, err := client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=bench-archive"})
		if err == nil && len(list.Items) == archivePods && !slices.ContainsFunc(list.Items, func(p corev1.Pod) bool { return !isReady(&p) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}
