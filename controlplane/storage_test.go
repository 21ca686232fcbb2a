package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane"
	"bonsai/controlplane/addons"
	"bonsai/controlplane/addons/storageprovisioner"
	"bonsai/controlplane/agents"
	"bonsai/controlplane/config"
	"bonsai/nodeagent/agentapi"
	"bonsai/nodeagent/volumes"
)

const storageLimit = 60 * time.Second

// storage is a control plane with the real provisioner and the real API of two nodes' agents, but without nodes: a pod
// that is scheduled is all there is to see of it.
type storage struct {
	*controlplane.ControlPlane
	client kubernetes.Interface
	addon  *storageprovisioner.Addon
	at     addons.Cluster
	agents map[string]*storageAgent

	mu   sync.Mutex // guards spec
	spec cluster.Spec
}

// storageAgent is a node's agent, reached without TLS.
type storageAgent struct {
	dir, addr string
	stop      func()
}

func (a *storageAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", a.addr
	t := &http.Transport{DisableKeepAlives: true}
	return t.RoundTrip(r)
}

// serve begins to answer with volumes that need this much room.
func (a *storageAgent) serve(t *testing.T, floor uint64) {
	t.Helper()
	a.stop()
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	a.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() {
		parts := map[string]http.Handler{volumes.Name: volumes.New(a.dir, floor).Handler()}
		done <- agentapi.New(agentapi.Config{Parts: parts, Log: slog.New(slog.DiscardHandler)}).ServeLocal(ctx, l)
	}()
	a.stop = func() {
		a.stop = func() {}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func startStorage(t *testing.T) *storage {
	s := &storage{agents: map[string]*storageAgent{}, addon: storageprovisioner.New()}
	s.ControlPlane = startControlPlane(t, func(spec *cluster.Spec) { s.spec = *spec })
	t.Cleanup(s.Stop)
	s.client = s.Client()
	for _, n := range s.spec.Nodes {
		a := &storageAgent{dir: t.TempDir(), addr: "127.0.0.1:0", stop: func() {}}
		a.serve(t, 0)
		t.Cleanup(func() { a.stop() })
		s.agents[n.Name] = a
		s.ready(t, n.Name)
	}
	s.at = addons.Cluster{
		Client: s.client, Scale: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Notify: func() {},
		Agents: agents.New(func(n cluster.Node) http.RoundTripper { return s.agents[n.Name] }, 1),
		Spec: func() cluster.Spec {
			s.mu.Lock()
			defer s.mu.Unlock()
			spec := s.spec
			spec.Nodes = slices.Clone(spec.Nodes)
			return spec
		},
	}
	eventually(t, "the namespace's service account", func() error {
		_, err := s.client.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return s
}

// run runs the provisioner until the returned function ends it.
func (s *storage) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.addon.Run(ctx, s.at) }()
	eventually(t, "the provisioner running", func() error {
		if state, reason, _ := s.addon.Health(ctx, s.at); state != cluster.AddonRunning {
			return fmt.Errorf("it is %s: %s", state, reason)
		}
		return nil
	})
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the provisioner ended with %v", err)
		}
		if state, _, _ := s.addon.Health(context.Background(), s.at); state != cluster.AddonInstalling {
			t.Errorf("after its end it is %s", state)
		}
	}
}

// ready stands in for a kubelet that reports.
func (s *storage) ready(t *testing.T, node string) {
	t.Helper()
	eventually(t, "node "+node+" Ready", func() error {
		n, err := s.client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(n.Spec.Taints) == 0 && len(n.Status.Conditions) > 0 {
			return nil
		}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110")}
		n.Status.Capacity = n.Status.Allocatable
		if _, err := s.client.CoreV1().Nodes().UpdateStatus(t.Context(), n, metav1.UpdateOptions{}); err != nil {
			return err
		}
		return fmt.Errorf("taints %v", n.Spec.Taints)
	})
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), storageLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func (s *storage) class(t *testing.T, name string, change func(*storagev1.StorageClass)) {
	t.Helper()
	c := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: config.VolumeProvisioner,
		VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	if change != nil {
		change(c)
	}
	if _, err := s.client.StorageV1().StorageClasses().Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *storage) claim(t *testing.T, name, class string, change func(*corev1.PersistentVolumeClaim)) {
	t.Helper()
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class,
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	if change != nil {
		change(c)
	}
	if _, err := s.client.CoreV1().PersistentVolumeClaims("default").Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *storage) pod(t *testing.T, name string, claims ...string) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}}}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c},
		}})
	}
	if _, err := s.client.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// scheduled returns the node that a pod got.
func (s *storage) scheduled(t *testing.T, pod string) (node string) {
	t.Helper()
	eventually(t, "pod "+pod+" scheduled", func() error {
		p, err := s.client.CoreV1().Pods("default").Get(t.Context(), pod, metav1.GetOptions{})
		if err == nil && p.Spec.NodeName == "" {
			err = fmt.Errorf("conditions are %v", p.Status.Conditions)
		}
		if err == nil {
			node = p.Spec.NodeName
		}
		return err
	})
	return node
}

// bound returns the volume of a claim.
func (s *storage) bound(t *testing.T, claim string) (pv *corev1.PersistentVolume) {
	t.Helper()
	eventually(t, "claim "+claim+" bound", func() error {
		c, err := s.client.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), claim, metav1.GetOptions{})
		if err == nil && c.Status.Phase != corev1.ClaimBound {
			err = fmt.Errorf("it is %s", c.Status.Phase)
		}
		if err == nil {
			pv, err = s.client.CoreV1().PersistentVolumes().Get(t.Context(), c.Spec.VolumeName, metav1.GetOptions{})
		}
		return err
	})
	return pv
}

// hasEvent waits for an Event about an object.
func (s *storage) hasEvent(t *testing.T, object, reason, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("event %s on %s with %q", reason, object, text), func() error {
		events, err := s.client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=" + object})
		if err != nil {
			return err
		}
		var got []string
		for _, e := range events.Items {
			if e.Reason == reason && strings.Contains(e.Message, text) {
				return nil
			}
			got = append(got, e.Reason+": "+e.Message)
		}
		return errors.New(strings.Join(got, "\n"))
	})
}

// selected returns a claim for which the scheduler has selected a node.
func (s *storage) selected(t *testing.T, claim string) (c *corev1.PersistentVolumeClaim) {
	t.Helper()
	eventually(t, "a node selected for claim "+claim, func() (err error) {
		c, err = s.client.CoreV1().PersistentVolumeClaims("default").Get(t.Context(), claim, metav1.GetOptions{})
		if err == nil && c.Annotations["volume.kubernetes.io/selected-node"] == "" {
			err = fmt.Errorf("annotations are %v", c.Annotations)
		}
		return err
	})
	return c
}

// drop deletes a claim, if one is given, and pods.
func (s *storage) drop(t *testing.T, claim string, pods ...string) {
	t.Helper()
	for _, p := range pods {
		if err := s.client.CoreV1().Pods("default").Delete(t.Context(), p, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			t.Fatal(err)
		}
	}
	if claim == "" {
		return
	}
	if err := s.client.CoreV1().PersistentVolumeClaims("default").Delete(t.Context(), claim, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *storage) gone(t *testing.T, pv *corev1.PersistentVolume) {
	t.Helper()
	eventually(t, "volume "+pv.Name+" gone", func() error {
		p, err := s.client.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("it is %s", p.Status.Phase))
	})
}

func (s *storage) folders(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for node, a := range s.agents {
		report, err := volumes.New(a.dir, 0).List()
		if err != nil {
			t.Fatal(err)
		}
		all[node] = report.Volumes
	}
	return all
}

func isThere(path string) bool { _, err := os.Stat(path); return err == nil }

func TestStorage(t *testing.T) {
	s := startStorage(t)
	stop := s.run(t)
	t.Cleanup(func() { stop() })
	s.class(t, "standard", nil)
	s.class(t, "immediate", func(c *storagev1.StorageClass) { c.VolumeBindingMode = new(storagev1.VolumeBindingImmediate) })
	s.class(t, "kept", func(c *storagev1.StorageClass) { c.ReclaimPolicy = new(corev1.PersistentVolumeReclaimRetain) })
	s.class(t, "tuned", func(c *storagev1.StorageClass) { c.Parameters = map[string]string{"type": "ssd"} })
	s.class(t, "foreign", func(c *storagev1.StorageClass) { c.Provisioner = "example.com/somebody" })
	s.class(t, "manual", func(c *storagev1.StorageClass) { c.Provisioner = "kubernetes.io/no-provisioner" })

	for _, test := range []struct {
		name string
		run  func(*testing.T, *storage)
	}{
		{"wait for first consumer", testFirstConsumer},
		{"no pause in the scheduler", testNoPause},
		{"immediate", testImmediate},
		{"retain", testRetain},
		{"volume deleted before its claim", testVolumeDeletedFirst},
		{"refusals", testRefusals},
		{"full disks", testFullDisks},
		{"full disk of one node", testFullDiskOfOneNode},
		{"other volumes are upstream's business", testOtherVolumes},
		{"stopped node", testStoppedNode},
	} {
		if !t.Run(test.name, func(t *testing.T) { test.run(t, s) }) {
			t.Fatalf("folders: %v", s.folders(t))
		}
	}
	t.Run("the addon disabled and enabled", func(t *testing.T) {
		stop()
		s.claim(t, "early", "standard", nil)
		s.pod(t, "impatient", "early")
		s.selected(t, "early")
		// Its claim stays, selected node and all, and another pod takes it up.
		s.drop(t, "", "impatient")
		s.pod(t, "patient", "early")
		stop = s.run(t)
		s.scheduled(t, "patient")
	})
	t.Run("nodes that are gone", func(t *testing.T) { testGoneNodes(t, s) })
}
