package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/bonsaitest"
	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// librarian is a user of package bonsaitest.
type librarian struct{ *harness.Home }

func newLibrarian(t *testing.T) librarian { return librarian{harness.NewHome(t)} }

func (l librarian) options(more ...bonsaitest.Option) []bonsaitest.Option {
	return append([]bonsaitest.Option{bonsaitest.Executable(harness.Binary()), bonsaitest.Home(l.Dir)}, more...)
}

// clusters are the names of those that exist.
func (l librarian) clusters(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(l.Dir, "clusters"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestLibraryStartsAPIs has two tests side by side, each with an API server of its own, to which only they write.
func TestLibraryStartsAPIs(t *testing.T) {
	t.Parallel()
	l := newLibrarian(t)
	t.Run("side by side", func(t *testing.T) {
		for _, name := range []string{"one", "two"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				testAPIAlone(t, bonsaitest.Start(t, l.options()...))
			})
		}
	})
	if left := l.clusters(t); len(left) > 0 {
		t.Errorf("the tests left the clusters %v", left)
	}
}

func testAPIAlone(t *testing.T, c *bonsaitest.Cluster) {
	ctx := t.Context()
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	object := func(text string) *unstructured.Unstructured {
		var o unstructured.Unstructured
		if err := json.Unmarshal([]byte(text), &o.Object); err != nil {
			t.Fatal(err)
		}
		return &o
	}
	create := func(group, version, resource, namespace, text string) *unstructured.Unstructured {
		t.Helper()
		made, err := client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}).Namespace(namespace).Create(ctx, object(text), metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("create a %s: %v", resource, err)
		}
		return made
	}
	create("apiextensions.k8s.io", "v1", "customresourcedefinitions", "", `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"trees.bonsai.test"},
		"spec":{"group":"bonsai.test","scope":"Namespaced","names":{"kind":"Tree","plural":"trees","singular":"tree"},
		"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`)
	namespace := c.Namespace(t)
	trees := client.Resource(schema.GroupVersionResource{Group: "bonsai.test", Version: "v1", Resource: "trees"}).Namespace(namespace)
	harness.Until(t, 10*time.Second, "trees are served", func() error {
		_, err := trees.Create(ctx, object(`{"apiVersion":"bonsai.test/v1","kind":"Tree","metadata":{"name":"pine"},"spec":{"age":90}}`), metav1.CreateOptions{})
		return err
	})

	// Nobody makes accounts, and pods are accepted nevertheless; nobody makes pods of a Deployment, or looks at it at all.
	pod := `"spec":{"containers":[{"name":"c","image":"none"}]}`
	create("", "v1", "pods", namespace, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"alone"},`+pod+`}`)
	create("apps", "v1", "deployments", namespace, `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},
		"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},`+pod+`}}}`)
	kube, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []struct {
		what string
		list func() (int, error)
	}{
		{"storage classes", func() (int, error) {
			l, err := kube.StorageV1().StorageClasses().List(ctx, metav1.ListOptions{})
			return len(l.Items), err
		}},
		{"ReplicaSets", func() (int, error) {
			l, err := kube.AppsV1().ReplicaSets("").List(ctx, metav1.ListOptions{})
			return len(l.Items), err
		}},
		{"nodes", func() (int, error) {
			l, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			return len(l.Items), err
		}},
	} {
		if n, err := absent.list(); err != nil || n != 0 {
			t.Errorf("there are %d %s (%v), want none that the test did not make", n, absent.what, err)
		}
	}

	out, err := c.Bonsai(ctx, "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var s cluster.Snapshot
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	phases := map[string]cluster.Phase{}
	for _, part := range s.Components {
		phases[part.Name] = part.Phase
	}
	if phases[cluster.Scheduler] != cluster.PhaseOff || phases[cluster.ControllerManager] != cluster.PhaseOff || phases[cluster.APIServer] != cluster.PhaseRunning {
		t.Errorf("components are %v, want the API server alone", phases)
	}
	if len(s.Problems) > 0 {
		t.Errorf("what was left out is reported as problems: %+v", s.Problems)
	}
}

// TestLibrarySharesACluster has tests of a package with one cluster.
func TestLibrarySharesACluster(t *testing.T) {
	t.Parallel()
	l := newLibrarian(t)
	var shared bonsaitest.Shared
	if code := shared.Main(testRun(func() int {
		first := shared.Cluster(t)
		began := time.Now()
		if second := shared.Cluster(t); second != first {
			t.Errorf("the second test has the cluster %s, the first %s", second.Name, first.Name)
		}
		if took := time.Since(began); took > harness.Scale(200*time.Millisecond) {
			t.Errorf("the second test waited %s for it", took)
		}
		client, err := kubernetes.NewForConfig(first.Config())
		if err != nil {
			t.Error(err)
			return 1
		}
		t.Run("side by side", func(t *testing.T) {
			for _, name := range []string{"one", "two"} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					namespace := shared.Cluster(t).Namespace(t)
					if _, err := client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "same"}}, metav1.CreateOptions{}); err != nil {
						t.Error(err)
					}
				})
			}
		})
		node, err := client.CoreV1().Nodes().Get(t.Context(), first.Nodes()[0], metav1.GetOptions{})
		if err != nil || node.Status.NodeInfo.KubeletVersion == "" {
			t.Errorf("node %s is not there: %v", first.Nodes()[0], err)
		}
		return 0
	}), l.options(bonsaitest.Nodes(1))...); code != 0 {
		t.Errorf("the tests ended with %d", code)
	}
	if left := l.clusters(t); len(left) > 0 {
		t.Errorf("the tests left the clusters %v", left)
	}
}

type testRun func() int

func (r testRun) Run() int { return r() }

// envOwner makes TestLibraryOwner start a cluster in the folder that it names, and wait to be killed.
const envOwner = "BONSAI_E2E_OWNER"

// TestLibraryOwner is the process that TestLibraryLeavesNothingWhenKilled kills.
func TestLibraryOwner(t *testing.T) {
	home, nodes, _ := strings.Cut(os.Getenv(envOwner), "@")
	if home == "" {
		t.Skip("it is a part of another test")
	}
	options := []bonsaitest.Option{bonsaitest.Executable(harness.Binary()), bonsaitest.Home(home)}
	if nodes != "" {
		options = append(options, bonsaitest.Nodes(1))
	}
	fmt.Println("cluster", bonsaitest.Start(t, options...).Name)
	<-t.Context().Done() // which is never
}

// TestLibraryLeavesNothingWhenKilled kills tests that have a cluster, which no cleanup survives.
func TestLibraryLeavesNothingWhenKilled(t *testing.T) {
	t.Parallel()
	for name, nodes := range map[string]string{"an API server": "", "a node": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLibrarian(t)
			ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(2*time.Minute))
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestLibraryOwner$")
			cmd.Env = append(os.Environ(), envOwner+"="+l.Dir+"@"+nodes)
			cmd.Stderr = t.Output()
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			c := &harness.Cluster{Home: l.Home}
			for lines := bufio.NewScanner(stdout); c.Name == "" && lines.Scan(); {
				c.Name, _ = strings.CutPrefix(lines.Text(), "cluster ")
				if c.Name == lines.Text() {
					t.Log(lines.Text())
					c.Name = ""
				}
			}
			if c.Name == "" {
				t.Fatal("the test to kill did not start its cluster")
			}
			if s, code := c.Status(t); code != 0 {
				t.Errorf("the cluster does not run: %+v", s)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			began := time.Now()
			harness.Until(t, 20*time.Second, "the cluster is deleted", func() error {
				if left := l.clusters(t); len(left) > 0 {
					return fmt.Errorf("there are the clusters %v", left)
				}
				return nil
			})
			t.Logf("the cluster was gone %s after its test", time.Since(began).Round(time.Millisecond))
			if left := c.Leftovers(t); len(left) > 0 {
				t.Errorf("the engine still has %v", left)
			}
		})
	}
}

// TestComponentsOfACluster leaves a scheduler out of a cluster with a node, and brings it back.
func TestComponentsOfACluster(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "1", "--components", "etcd,apiserver,controller-manager")
	c.LoadImages(t)
	n := keptNamespace(t, c, "unscheduled")
	if _, err := n.Client.CoreV1().Pods(n.Namespace).Create(t.Context(), n.Pod("waits", harness.Testpod, "serve"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s, code := c.Status(t)
	if code != 0 || len(s.Problems) > 0 {
		t.Errorf("the code is %d, problems are %+v, want none: nobody wanted a scheduler", code, s.Problems)
	}
	if node := strings.TrimSpace(c.Kubectl(t, "get", "pod", "waits", "-n", n.Namespace, "-o", "jsonpath={.spec.nodeName}")); node != "" {
		t.Errorf("the pod is on node %s without a scheduler", node)
	}
	if r := c.Bonsai(t, "start", "--components", "etcd,apiserver"); r.Code != 2 || !strings.Contains(r.Stderr, cluster.ControllerManager) {
		t.Errorf("a node without controllers is not refused: %s", r)
	}
	c.Start(t, "--components", "all")
	c.Kubectl(t, "wait", "--for=condition=Ready", "pod/waits", "-n", n.Namespace, "--timeout=60s")
}
