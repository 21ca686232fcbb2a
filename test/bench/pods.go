package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const benchImage = "bonsai.test/bench:1"

// samples is how many pods are started one after the other.
const samples = 21

// pods times the creation of single pods until their Ready condition, seen over a watch, with the image present; in
// turn without and with a claim that has no volume yet.
func (b *bench) pods(ctx context.Context) error {
	busybox, err := os.ReadFile(b.busybox)
	if err != nil {
		return err
	}
	archive := filepath.Join(b.home, "image.tar")
	if err := writeImage(archive, benchImage, map[string][]byte{"busybox": busybox}); err != nil {
		return err
	}
	if err := b.bonsai(ctx, "image", "load", "-p", b.name, archive); err != nil {
		return err
	}
	client, err := b.client()
	if err != nil {
		return err
	}
	var without, with []time.Duration
	for i := range samples {
		d, err := podLatency(ctx, client, fmt.Sprintf("latency-%d", i), false)
		if err != nil {
			return err
		}
		without = append(without, d)
		if d, err = podLatency(ctx, client, fmt.Sprintf("claim-latency-%d", i), true); err != nil {
			return err
		}
		with = append(with, d)
	}
	pod, claimed := middle(without), middle(with)
	report("pod: create to Ready, p50", 700*time.Millisecond, result{took: pod})
	report("pod and its claim: create to Ready, p50", pod.Round(time.Millisecond)+500*time.Millisecond, result{took: claimed})
	return nil
}

func (b *bench) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(b.home, "clusters", b.name, "kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // no limit: the client is not what is measured
	return kubernetes.NewForConfig(config)
}

// podLatency times one pod, or one pod and its claim.
func podLatency(ctx context.Context, client kubernetes.Interface, name string, claim bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("pod %s is not Ready after a minute", name))
	defer cancel()
	pods := client.CoreV1().Pods("default")
	watch, err := pods.Watch(ctx, metav1.SingleObject(metav1.ObjectMeta{Name: name}))
	if err != nil {
		return 0, err
	}
	defer watch.Stop()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: benchImage, ImagePullPolicy: corev1.PullNever, Command: []string{"/busybox", "sleep", "3600"},
		}}},
	}
	begin := time.Now()
	if claim {
		if err := addClaim(ctx, client, pod); err != nil {
			return 0, err
		}
	}
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	for event := range watch.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				took := time.Since(begin)
				err := pods.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
				if claim {
					err = errors.Join(err, client.CoreV1().PersistentVolumeClaims("default").Delete(ctx, name, metav1.DeleteOptions{}))
				}
				return took, err
			}
		}
	}
	return 0, fmt.Errorf("watch of pod %s ended: %w", name, context.Cause(ctx))
}

// addClaim creates a claim of the pod's name and mounts it.
func addClaim(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) error {
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: pod.Name},
	}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	_, err := client.CoreV1().PersistentVolumeClaims("default").Create(ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{})
	return err
}
