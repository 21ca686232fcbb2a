package e2e

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/test/e2e/harness"
)

// volumesDir is where a node keeps its volumes, as documented in docs/storage.md.
const volumesDir = "/var/lib/bonsai/volumes"

func TestStorage(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	for name, change := range map[string]func(*storagev1.StorageClass){
		"immediate": func(s *storagev1.StorageClass) { s.VolumeBindingMode = new(storagev1.VolumeBindingImmediate) },
		"kept":      func(s *storagev1.StorageClass) { s.ReclaimPolicy = new(corev1.PersistentVolumeReclaimRetain) },
	} {
		class := &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "bonsai.io/local",
			VolumeBindingMode: new(storagev1.VolumeBindingWaitForFirstConsumer),
		}
		change(class)
		if _, err := c.Client(t).StorageV1().StorageClasses().Create(t.Context(), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster)
	}{
		{"who may write", testWhoMayWrite},
		{"two pods of one claim", testTwoPodsOfOneClaim},
		{"immediate binding", testImmediateBinding},
		{"reclaim policies", testReclaimPolicies},
		{"block volume", testBlockVolume},
		{"full disk", testFullDisk},
		{"read-only disk", testReadOnlyDisk},
		{"vanished folder", testVanishedFolder},
		{"StatefulSet", testStatefulSet},
		{"deleted node", testDeletedNode},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c) })
	}
}

// claim creates a claim of a class; "" is the default one.
func claim(t *testing.T, n *harness.Namespace, name, class string, change ...func(*corev1.PersistentVolumeClaim)) {
	t.Helper()
	c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: claimSpec()}
	if class != "" {
		c.Spec.StorageClassName = &class
	}
	for _, f := range change {
		f(c)
	}
	if _, err := n.Client.CoreV1().PersistentVolumeClaims(n.Namespace).Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func claimSpec() corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}
}

// withClaim returns a pod with a shell and a claim at /data.
func withClaim(n *harness.Namespace, name, claim string) *corev1.Pod {
	p := n.Pod(name, harness.Busybox, "-c", "exec sleep 100000")
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}}
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return p
}

func write(t *testing.T, n *harness.Namespace, pod, text string) {
	t.Helper()
	n.Exec(t, pod, "sh", "-c", "echo "+text+" >/data/file && sync")
}

func read(t *testing.T, n *harness.Namespace, pod string) string {
	t.Helper()
	return strings.TrimSpace(n.Exec(t, pod, "cat", "/data/file"))
}

// bound returns the volume of a claim once it has one.
func bound(t *testing.T, n *harness.Namespace, claim string) (pv *corev1.PersistentVolume) {
	t.Helper()
	harness.Until(t, 30*time.Second, "claim "+claim+" bound", func() error {
		c, err := n.Client.CoreV1().PersistentVolumeClaims(n.Namespace).Get(t.Context(), claim, metav1.GetOptions{})
		if err == nil && c.Status.Phase != corev1.ClaimBound {
			err = fmt.Errorf("it is %s", c.Status.Phase)
		}
		if err == nil {
			pv, err = n.Client.CoreV1().PersistentVolumes().Get(t.Context(), c.Spec.VolumeName, metav1.GetOptions{})
		}
		return err
	})
	return pv
}

// nodeOf returns the node that a volume is on.
func nodeOf(pv *corev1.PersistentVolume) string {
	return pv.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
}

func folders(t *testing.T, node string) []string {
	t.Helper()
	return strings.Fields(harness.InNode(t, node, "sh", "-c", "ls "+volumesDir+" 2>/dev/null || true"))
}

// drop deletes a claim after the pods that use it.
func drop(t *testing.T, n *harness.Namespace, claim string, pods ...string) {
	t.Helper()
	for _, p := range pods {
		n.Kubectl(t, "-n", n.Namespace, "delete", "pod", p, "--now", "--timeout=60s")
	}
	n.Kubectl(t, "-n", n.Namespace, "delete", "pvc", claim, "--timeout=60s")
}

func volumeGone(t *testing.T, n *harness.Namespace, pv *corev1.PersistentVolume) {
	t.Helper()
	harness.Until(t, 30*time.Second, "volume "+pv.Name+" gone", func() error {
		p, err := n.Client.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, fmt.Errorf("it is %s", p.Status.Phase))
	})
}

// warned waits for a Warning on a claim.
func warned(t *testing.T, n *harness.Namespace, claim, text string) {
	t.Helper()
	harness.Until(t, 30*time.Second, "a warning on claim "+claim, func() error {
		events, err := n.Client.CoreV1().Events(n.Namespace).List(t.Context(), metav1.ListOptions{
			FieldSelector: "type=Warning,reason=ProvisioningFailed,involvedObject.kind=PersistentVolumeClaim,involvedObject.name=" + claim,
		})
		if err != nil {
			return err
		}
		var got []string
		for _, e := range events.Items {
			if strings.Contains(e.Message, text) {
				return nil
			}
			got = append(got, e.Message)
		}
		return fmt.Errorf("want %q, got %q", text, got)
	})
}

func testWhoMayWrite(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "group", "")
	p := withClaim(n, "group", "group")
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1001)), FSGroup: new(int64(2000))}
	n.Create(t, p)
	write(t, n, "group", "mine")
	if got := strings.TrimSpace(n.Exec(t, "group", "stat", "-c", "%u:%g", "/data/file")); got != "1000:2000" {
		t.Errorf("the file belongs to %s, want 1000:2000 as fsGroup says", got)
	}

	claim(t, n, "anybody", "")
	p = withClaim(n, "anybody", "anybody")
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(12345)), RunAsNonRoot: new(true)}
	n.Create(t, p)
	write(t, n, "anybody", "mine")
	if got := read(t, n, "anybody"); got != "mine" {
		t.Errorf("read %q", got)
	}
	drop(t, n, "group", "group")
	drop(t, n, "anybody", "anybody")
}

func testTwoPodsOfOneClaim(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "shared", "", func(c *corev1.PersistentVolumeClaim) {
		c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany}
	})
	first := n.Create(t, withClaim(n, "first", "shared"))[0]
	write(t, n, "first", "for-all")
	// It must not matter that the node is full of pods that the scheduler would rather avoid.
	for i := range 3 {
		name := fmt.Sprintf("more-%d", i)
		p := n.Create(t, withClaim(n, name, "shared"))[0]
		if p.Spec.NodeName != first.Spec.NodeName {
			t.Errorf("pod %s is on %s, the first one and the volume on %s", name, p.Spec.NodeName, first.Spec.NodeName)
		}
		if got := read(t, n, name); got != "for-all" {
			t.Errorf("pod %s reads %q", name, got)
		}
	}
	drop(t, n, "shared", "first", "more-0", "more-1", "more-2")
}

func testImmediateBinding(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "a", "immediate")
	first := bound(t, n, "a")
	claim(t, n, "b", "immediate")
	second := bound(t, n, "b")
	if nodeOf(first) == nodeOf(second) {
		t.Errorf("both volumes are on %s", nodeOf(first))
	}
	for name, pv := range map[string]*corev1.PersistentVolume{"a": first, "b": second} {
		if !slices.Contains(folders(t, nodeOf(pv)), pv.Name) {
			t.Errorf("node %s has %v, want %s among them", nodeOf(pv), folders(t, nodeOf(pv)), pv.Name)
		}
		p := n.Create(t, withClaim(n, "of-"+name, name))[0]
		if p.Spec.NodeName != nodeOf(pv) {
			t.Errorf("the pod is on %s, its volume on %s", p.Spec.NodeName, nodeOf(pv))
		}
		write(t, n, p.Name, "x")
		drop(t, n, name, p.Name)
	}
}

func testReclaimPolicies(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	for name, class := range map[string]string{"deleted": "standard", "retained": "kept"} {
		claim(t, n, name, class)
		p := withClaim(n, name, name)
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(4321))}
		n.Create(t, p)
		n.Exec(t, name, "sh", "-c", "mkdir -p /data/a/b && echo x >/data/a/b/c && chmod 0 /data/a/b/c && chmod 0500 /data/a/b && ln -s / /data/root")
		pv := bound(t, n, name)
		if pv.Spec.Local == nil || pv.Spec.Local.Path != path.Join(volumesDir, pv.Name) {
			t.Fatalf("volume %s is %+v", pv.Name, pv.Spec.PersistentVolumeSource)
		}
		drop(t, n, name, name)
		there := func() bool { return slices.Contains(folders(t, nodeOf(pv)), pv.Name) }
		if class == "standard" {
			volumeGone(t, n, pv)
			if there() {
				t.Error("the deleted claim's folder is still there")
			}
			continue
		}
		harness.Until(t, 30*time.Second, "volume released", func() error {
			p, err := n.Client.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{})
			if err == nil && p.Status.Phase != corev1.VolumeReleased {
				err = fmt.Errorf("it is %s", p.Status.Phase)
			}
			return err
		})
		n.Kubectl(t, "delete", "pv", pv.Name, "--timeout=30s")
		if !there() || harness.InNode(t, nodeOf(pv), "cat", pv.Spec.Local.Path+"/a/b/c") != "x" {
			t.Error("the retained data is gone")
		}
	}
}

func testBlockVolume(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "raw", "immediate", func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) })
	warned(t, n, "raw", "does not support block volume")
}

// onEveryNode mounts a file system over the volumes of all nodes, which the returned function unmounts.
func onEveryNode(t *testing.T, c *harness.Cluster, options string) (undo func()) {
	t.Helper()
	for _, node := range c.Nodes(t) {
		harness.InNode(t, node, "mkdir", "-p", volumesDir)
		harness.InNode(t, node, "mount", "-t", "tmpfs", "-o", options, "tmpfs", volumesDir)
	}
	done := false
	undo = func() {
		if done {
			return
		}
		done = true
		for _, node := range c.Nodes(t) {
			harness.InNode(t, node, "umount", volumesDir)
		}
	}
	t.Cleanup(undo)
	return undo
}

func testFullDisk(t *testing.T, c *harness.Cluster) {
	for name, options := range map[string]string{"no-space": "size=1m", "no-inodes": "size=64m,nr_inodes=1"} {
		t.Run(name, func(t *testing.T) {
			n := c.NewNamespace(t)
			makeRoom := onEveryNode(t, c, options)
			claim(t, n, "waits", "")
			if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), withClaim(n, "waits", "waits"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			claim(t, n, "waits-too", "immediate")
			warned(t, n, "waits", "the disk is full")
			warned(t, n, "waits-too", "the disk is full")
			makeRoom()
			n.WaitReady(t, "waits")
			write(t, n, "waits", "room")
			bound(t, n, "waits-too")
			drop(t, n, "waits", "waits")
			drop(t, n, "waits-too")
		})
	}
}

func testReadOnlyDisk(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	repair := onEveryNode(t, c, "ro")
	claim(t, n, "waits", "")
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), withClaim(n, "waits", "waits"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	warned(t, n, "waits", "the disk is read-only")
	repair()
	n.WaitReady(t, "waits")
	write(t, n, "waits", "repaired")
	drop(t, n, "waits", "waits")
}

// A database that starts on an empty folder instead of its data is worse than one that does not start.
func testVanishedFolder(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "lost", "immediate")
	pv := bound(t, n, "lost")
	harness.InNode(t, nodeOf(pv), "rmdir", pv.Spec.Local.Path)
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), withClaim(n, "lost", "lost"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, time.Minute, "an event that the folder is missing", func() error {
		events, err := n.Client.CoreV1().Events(n.Namespace).List(t.Context(), metav1.ListOptions{
			FieldSelector: "reason=FailedMount,involvedObject.name=lost",
		})
		if err == nil && !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, pv.Spec.Local.Path) }) {
			err = fmt.Errorf("%d events, none of which names %s", len(events.Items), pv.Spec.Local.Path)
		}
		return err
	})
	if slices.Contains(folders(t, nodeOf(pv)), pv.Name) {
		t.Error("the folder was recreated")
	}
	harness.Until(t, time.Minute, "a problem that says so", func() error {
		s, _ := c.Status(t)
		for _, p := range s.Problems {
			if p.Object == "persistentvolumeclaim/"+n.Namespace+"/lost" && p.Summary == "the claim has lost its data" && strings.Contains(p.HintText(), "delete pvc lost") {
				return nil
			}
		}
		return fmt.Errorf("the problems are %+v", s.Problems)
	})
	drop(t, n, "lost", "lost")
	volumeGone(t, n, pv)
}

func testStatefulSet(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	labels := map[string]string{"app": "db"}
	template := withClaim(n, "db", "unused")
	template.Spec.Volumes = nil // the claim template gives it
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(3)), ServiceName: "db", PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector:             &metav1.LabelSelector{MatchLabels: labels},
			Template:             corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template.Spec},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claimSpec()}},
		},
	}
	if _, err := n.Client.AppsV1().StatefulSets(n.Namespace).Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pods := []string{"db-0", "db-1", "db-2"}
	where := map[string]string{}
	for _, p := range pods {
		where[p] = n.WaitReady(t, p).Spec.NodeName
		write(t, n, p, "data-of-"+p)
	}
	// kept wants every pod Ready again, with another container than in before, on its node and with its data.
	kept := func(after string, before map[string]string) {
		t.Helper()
		for _, p := range pods {
			harness.Until(t, harness.PodLimit, p+" Ready after "+after, func() error {
				is, err := containerOf(t, n, p)
				if err == nil && is == before[p] {
					err = errors.New("its container has not been replaced")
				}
				return err
			})
			if got := n.WaitReady(t, p).Spec.NodeName; got != where[p] {
				t.Errorf("after %s %s is on %s, before on %s", after, p, got, where[p])
			}
			if got := read(t, n, p); got != "data-of-"+p {
				t.Errorf("after %s %s reads %q", after, p, got)
			}
		}
	}
	now := func(of func(pod string) bool) map[string]string {
		t.Helper()
		all := map[string]string{}
		for _, p := range pods {
			if !of(p) {
				continue
			}
			id, err := containerOf(t, n, p)
			if err != nil {
				t.Fatal(err)
			}
			all[p] = id
		}
		return all
	}
	everyPod := func(string) bool { return true }

	before := now(everyPod)
	n.Kubectl(t, "-n", n.Namespace, "delete", "pod", "db-0", "db-1", "db-2", "--now", "--timeout=60s")
	kept("the deletion of the pods", before)

	node := where["db-0"]
	before = now(func(p string) bool { return where[p] == node })
	harness.Docker(t, "restart", "-t", "10", harness.Container(t, node))
	kept("a restart of "+node, before)

	// Another container for the node, as after an upgrade of bonsai, on the node's disk.
	before = now(func(p string) bool { return where[p] == node })
	harness.Docker(t, "rm", "-f", harness.Container(t, node))
	c.Start(t)
	kept("a new container for "+node, before)

	before = now(everyPod)
	c.Must(t, "stop")
	c.Start(t)
	kept("stop and start", before)

	n.Kubectl(t, "-n", n.Namespace, "delete", "statefulset", "db", "--timeout=60s")
	for _, p := range pods {
		pv := bound(t, n, "data-"+p) // claims outlive their set
		n.Kubectl(t, "-n", n.Namespace, "wait", "--for=delete", "pod/"+p, "--timeout=60s")
		drop(t, n, "data-"+p)
		volumeGone(t, n, pv)
	}
}

// A volume is not forgotten while its node may come back: a Node object that somebody deletes is there again, and the
// start that repairs the node lets the volume go.
func testDeletedNode(t *testing.T, c *harness.Cluster) {
	n := c.NewNamespace(t)
	claim(t, n, "stranded", "immediate")
	pv := bound(t, n, "stranded")
	node := nodeOf(pv)
	harness.Docker(t, "rm", "-f", "-v", harness.Container(t, node))
	n.Kubectl(t, "-n", n.Namespace, "delete", "pvc", "stranded", "--timeout=60s")
	harness.Until(t, 30*time.Second, "an event that the node does not answer", func() error {
		events, err := n.Client.CoreV1().Events("").List(t.Context(), metav1.ListOptions{
			FieldSelector: "reason=VolumeFailedDelete,involvedObject.name=" + pv.Name,
		})
		if err == nil && !slices.ContainsFunc(events.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, "node "+node) }) {
			err = fmt.Errorf("%d events, none of which names %s", len(events.Items), node)
		}
		return err
	})
	n.Kubectl(t, "delete", "node", node, "--timeout=30s")
	n.Kubectl(t, "wait", "--for=create", "node/"+node, "--timeout=30s")
	if _, err := n.Client.CoreV1().PersistentVolumes().Get(t.Context(), pv.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("the volume of a node that may come back: %v", err)
	}
	c.Start(t)
	volumeGone(t, n, pv)
}
