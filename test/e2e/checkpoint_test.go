package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/statedir"
	"bonsai/test/e2e/harness"
)

// keptNamespace is one that a test deletes itself, if at all.
func keptNamespace(t *testing.T, c *harness.Cluster, name string) *harness.Namespace {
	t.Helper()
	client := c.Client(t)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 20*time.Second, "service account of "+name, func() error {
		_, err := client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	return &harness.Namespace{Cluster: c, Namespace: name, Client: client}
}

func makeConfigMap(t *testing.T, n *harness.Namespace, name string) {
	t.Helper()
	if _, err := n.Client.CoreV1().ConfigMaps(n.Namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestCheckpoints: a cluster is taken back to how it was, with its nodes running.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2")
	c.LoadImages(t)
	nodes := c.Nodes(t)
	n := keptNamespace(t, c, "kept")
	deployment(t, n, "web", 3)
	n.Service(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	})
	claim(t, n, "data", "")
	claim(t, n, "lost", "")
	n.Create(t, withClaim(n, "writer", "data"), withClaim(n, "loser", "lost"))
	write(t, n, "writer", "first")
	makeConfigMap(t, n, "a")
	lostVolume := bound(t, n, "lost").Name

	var saved cluster.Checkpoint
	if err := json.Unmarshal([]byte(c.Must(t, "checkpoint", "save", "base", "-o", "json")), &saved); err != nil || saved.Objects < 100 || saved.FileBytes == 0 {
		t.Fatalf("saved was %+v, %v", saved, err)
	}
	t.Logf("%d objects, %d bytes", saved.Objects, saved.FileBytes)
	wantCode(t, c.Bonsai(t, "checkpoint", "save", "base"), code(fault.Conflict))

	maps := followMaps(t, n)
	maps.wait(t, "a")

	// Everything changes.
	makeConfigMap(t, n, "b")
	maps.wait(t, "a", "b")
	n.Kubectl(t, "-n", n.Namespace, "delete", "configmap/a", "deployment/web", "service/web", "pod/loser", "pod/writer", "--timeout=60s")
	n.Kubectl(t, "-n", n.Namespace, "delete", "pvc/lost", "--timeout=60s")
	n.Create(t, harness.On(nodes[0], n.Pod("late", harness.Testpod, "serve")))
	harness.Until(t, 30*time.Second, "the folder of the deleted claim gone", func() error {
		for _, node := range nodes {
			if slices.Contains(folders(t, node), lostVolume) {
				return errors.New("it is on " + node)
			}
		}
		return nil
	})
	c.Must(t, "node", "add")
	added := c.Nodes(t)[2]
	maps.wait(t, "b")

	began := time.Now()
	c.Must(t, "checkpoint", "restore", "base")
	t.Logf("restore took %s", time.Since(began))

	maps.wait(t, "a") // a watch from before goes on
	available(t, n, "web", 3)
	n.WaitReady(t, "writer")
	n.WaitReady(t, "loser")
	if got := read(t, n, "writer"); got != "first" {
		t.Errorf("the claim has %q", got)
	}
	if got := n.Exec(t, "loser", "ls", "/data"); got != "" {
		t.Errorf("the claim whose data is gone has %q", got)
	}
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Get(t.Context(), "late", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod that came later: %v", err)
	}
	harness.Until(t, 30*time.Second, "the container of the pod that came later gone", func() error {
		if out := harness.InNode(t, nodes[0], "crictl", "ps"); strings.Contains(out, "late") {
			return errors.New(out)
		}
		return nil
	})
	readyNodes(t, c, 3)
	from := n.Create(t, harness.On(added, n.Pod("client", harness.Testpod, "serve")))[0]
	harness.Until(t, 30*time.Second, "the Service answers by its name", func() error {
		r := n.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", from.Name, "--", "testpod", "fetch", "-n", "3", "http://web.kept/")
		if r.Code != 0 {
			return errors.New(r.Stderr)
		}
		return nil
	})
	harness.Until(t, 30*time.Second, "status finds nothing wrong", func() error {
		if s, code := c.Status(t); code != 0 {
			return fmt.Errorf("it exits with %d: %+v", code, s.Problems)
		}
		return nil
	})

	t.Run("killed", func(t *testing.T) { testRestoreKilled(t, c, n) })
	t.Run("of a stopped cluster", func(t *testing.T) {
		makeConfigMap(t, n, "later")
		c.Must(t, "stop")
		wantCode(t, c.Bonsai(t, "checkpoint", "save", "x"), code(fault.NotRunning))
		c.Must(t, "checkpoint", "restore", "base")
		readyNodes(t, c, 3)
		wantMaps(t, n, "a")
		available(t, n, "web", 3)
	})
	t.Run("damaged data", func(t *testing.T) { testRestoreOverDamage(t, c, n) })
	t.Run("fork", func(t *testing.T) { testFork(t, c, n) })
	t.Run("with volumes", func(t *testing.T) { testCheckpointVolumes(t, c, n) })
	t.Run("export", func(t *testing.T) { testExport(t, c, n) })
	wantCode(t, c.Bonsai(t, "checkpoint", "restore", "none"), code(fault.CheckpointNotFound))
	c.Must(t, "checkpoint", "delete", "base")
}

// testRestoreKilled kills the command at several moments. Whenever that is, all objects are those of before or those of
// the checkpoint, and a start repairs the rest.
func testRestoreKilled(t *testing.T, c *harness.Cluster, n *harness.Namespace) {
	for _, after := range []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond, time.Second, 1500 * time.Millisecond} {
		makeConfigMap(t, n, "later")
		ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(after))
		r := c.Command(ctx, "checkpoint", "restore", "base", "-p", c.Name)
		_ = r.Run() // it is killed, or done
		cancel()
		c.Start(t)
		got := configMaps(t, n)
		t.Logf("killed after %s: there are %v", after, got)
		switch {
		case slices.Equal(got, []string{"a", "later"}):
			n.Kubectl(t, "-n", n.Namespace, "delete", "configmap/later")
		case !slices.Equal(got, []string{"a"}):
			t.Errorf("killed after %s: there are %v", after, got)
		}
		wantNoLeftovers(t, c)
	}
	readyNodes(t, c, 3)
	available(t, n, "web", 3)
}

func testRestoreOverDamage(t *testing.T, c *harness.Cluster, n *harness.Namespace) {
	makeConfigMap(t, n, "later")
	c.Must(t, "stop")
	file := filepath.Join(state(c).Etcd(), "member", "snap", "db")
	if err := os.WriteFile(file, []byte(strings.Repeat("damaged ", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := c.Bonsai(t, "start")
	wantCode(t, r, code(fault.ControlPlane))
	if !strings.Contains(r.Stderr, "checkpoint restore") {
		t.Errorf("a start with damaged data does not advise to restore a checkpoint:\n%s", r.Stderr)
	}
	c.Must(t, "checkpoint", "restore", "base")
	readyNodes(t, c, 3)
	wantMaps(t, n, "a")
	wantNoLeftovers(t, c)
}

// testFork: everything runs a second time, with another name and another authority, while the first goes on.
func testFork(t *testing.T, c *harness.Cluster, n *harness.Namespace) {
	fork := &harness.Cluster{Home: c.Home, Name: c.Home.Name()}
	makeConfigMap(t, n, "later")
	began := time.Now()
	c.Must(t, "fork", "base", "--as", fork.Name)
	t.Logf("fork took %s", time.Since(began))
	there := &harness.Namespace{Cluster: fork, Namespace: n.Namespace, Client: fork.Client(t)}
	wantMaps(t, there, "a")
	wantMaps(t, n, "a", "later")
	readyNodes(t, fork, 2) // as many as the checkpoint has
	available(t, there, "web", 3)
	there.WaitReady(t, "loser")
	for _, p := range podsOf(t, there) {
		if !strings.HasPrefix(p.Spec.NodeName, fork.Name+"-") {
			t.Errorf("pod %s is on node %q", p.Name, p.Spec.NodeName)
		}
	}
	ca := func(n *harness.Namespace) string {
		m, err := n.Client.CoreV1().ConfigMaps(n.Namespace).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Data["ca.crt"]
	}
	if ca(there) == ca(n) {
		t.Error("both clusters have one authority")
	}
	from := there.Create(t, there.Pod("client", harness.Testpod, "serve"))[0]
	harness.Until(t, 30*time.Second, "the Service answers by its name in the fork", func() error {
		r := there.Bonsai(t, "kubectl", "--", "-n", n.Namespace, "exec", from.Name, "--", "testpod", "fetch", "-n", "3", "http://web.kept/")
		if r.Code != 0 {
			return errors.New(r.Stderr)
		}
		return nil
	})
	if s, code := fork.Status(t); code != 0 {
		t.Errorf("status of the fork exits with %d: %+v", code, s.Problems)
	}
	wantCode(t, c.Bonsai(t, "fork", "--as", fork.Name), code(fault.Conflict))
	fork.Must(t, "checkpoint", "restore", "base") // which came along
	wantMaps(t, there, "a")
	fork.Must(t, "delete")
}

// testExport: a cluster goes through a file to a machine that has nothing of it, with its images and the data of its claims.
func testExport(t *testing.T, c *harness.Cluster, n *harness.Namespace) {
	n.WaitReady(t, "writer")
	n.Exec(t, "writer", "sh", "-c", "mkdir -p /data/private && echo precious >/data/private/file && chown -R 1234:5678 /data/private && chmod 640 /data/private/file && sync")
	file := filepath.Join(t.TempDir(), "cluster.bonsai")
	began := time.Now()
	said := c.Must(t, "checkpoint", "export", file)
	t.Logf("export took %s: %s", time.Since(began), said)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file has the mode %s, %v", info.Mode(), err)
	}

	there := &harness.Cluster{Home: harness.NewHome(t)}
	there.Name = there.Home.Name()
	began = time.Now()
	there.Must(t, "start", "--from", file)
	readyNodes(t, there, len(c.Nodes(t)))
	copied := &harness.Namespace{Cluster: there, Namespace: n.Namespace, Client: there.Client(t)}
	available(t, copied, "web", 3)
	copied.WaitReady(t, "writer")
	t.Logf("everything runs %s after the command began", time.Since(began))
	wantMaps(t, copied, configMaps(t, n)...)
	if got := copied.Exec(t, "writer", "sh", "-c", "cat /data/file /data/private/file; stat -c '%u:%g %a' /data/private/file"); got != "first\nprecious\n1234:5678 640\n" {
		t.Errorf("the claim has %q", got)
	}
	if out := there.Must(t, "checkpoint", "list"); !strings.Contains(out, "origin") {
		t.Errorf("the checkpoint that it was made of is not there:\n%s", out)
	}
	there.Must(t, "checkpoint", "restore", "origin")
	harness.Until(t, 30*time.Second, "status finds nothing wrong", func() error {
		if s, code := there.Status(t); code != 0 {
			return fmt.Errorf("it exits with %d: %+v", code, s.Problems)
		}
		return nil
	})
	wantCode(t, there.Bonsai(t, "start", "--from", file), code(fault.Conflict))
	there.Must(t, "delete")

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	wantCode(t, there.Bonsai(t, "start", "--from", file), code(fault.Checkpoint))
	if left := there.Leftovers(t); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if left, err := filepath.Glob(filepath.Join(there.Dir, "clusters", "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

func podsOf(t *testing.T, n *harness.Namespace) []corev1.Pod {
	t.Helper()
	list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func state(c *harness.Cluster) statedir.Cluster { return statedir.Dir{Root: c.Dir}.Cluster(c.Name) }

// wantNoLeftovers checks that nothing of a restore is left beside etcd's data.
func wantNoLeftovers(t *testing.T, c *harness.Cluster) {
	t.Helper()
	left, err := filepath.Glob(state(c).Etcd() + ".*")
	if err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// configMaps are those of the namespace that Kubernetes did not make.
func configMaps(t *testing.T, n *harness.Namespace) (names []string) {
	t.Helper()
	harness.Until(t, 30*time.Second, "a list of ConfigMaps", func() error {
		list, err := n.Client.CoreV1().ConfigMaps(n.Namespace).List(t.Context(), metav1.ListOptions{})
		names = nil
		if err == nil {
			for _, m := range list.Items {
				if m.Name != "kube-root-ca.crt" {
					names = append(names, m.Name)
				}
			}
		}
		return err
	})
	return names
}

func wantMaps(t *testing.T, n *harness.Namespace, want ...string) {
	t.Helper()
	if got := configMaps(t, n); !slices.Equal(got, want) {
		t.Errorf("there are the ConfigMaps %v, want %v", got, want)
	}
}

// follower is an informer, as every controller has one.
type follower struct {
	mu    sync.Mutex // guards names
	names map[string]bool
}

func followMaps(t *testing.T, n *harness.Namespace) *follower {
	t.Helper()
	f := &follower{names: map[string]bool{}}
	factory := informers.NewSharedInformerFactoryWithOptions(n.Client, 0, informers.WithNamespace(n.Namespace))
	set := func(o any, there bool) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.names[o.(*corev1.ConfigMap).Name] = there
	}
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { set(o, true) }, DeleteFunc: func(o any) { set(o, false) },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	factory.Start(ctx.Done())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	return f
}

func (f *follower) wait(t *testing.T, want ...string) {
	t.Helper()
	harness.Until(t, 30*time.Second, fmt.Sprintf("the watch sees %v", want), func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		var got []string
		for name, there := range f.names {
			if there && name != "kube-root-ca.crt" {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("it sees %v", got)
		}
		return nil
	})
}
