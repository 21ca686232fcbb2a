// Package e2e proves a Session on a real cluster of two nodes: what it shows of objects, logs, shells and ports, and
// that it survives a stop and a start. It is here, and not in test/e2e, because no other package may import the
// session.
package e2e

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"bonsai/bootstrap"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/node/docker"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/session"
	"bonsai/test/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// limit bounds every wait of these tests.
const limit = 60 * time.Second

var (
	pods        = kube.ResourceType{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	nodes       = kube.ResourceType{Version: "v1", Resource: "nodes", Kind: "Node"}
	configMaps  = kube.ResourceType{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	deployments = kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
)

// open makes a Session for a cluster of the harness, as the command line would.
func open(t *testing.T, c *harness.Cluster) *session.Session {
	t.Helper()
	scale := wait.FromEnv()
	connect := func() (node.Driver, error) { return docker.Connect(os.Getenv, docker.Options{Scale: scale}) }
	dir := statedir.Dir{Root: c.Dir}
	executable := c.Command(t.Context()).Path
	s := session.New(session.Options{
		Name: c.Name, State: dir, Driver: connect, Executable: executable, Scale: scale,
		Engine: bootstrap.New(bootstrap.Env{Dir: dir, Driver: connect, Executable: executable, Scale: scale}),
	})
	t.Cleanup(s.Close)
	return s
}

func TestSession(t *testing.T) {
	c := harness.New(t)
	t.Setenv("KUBECONFIG", c.Kubeconfig) // operations merge the cluster's entry into it
	s := open(t, c)
	if snapshot, err := s.Observe(t.Context()); err != nil || snapshot.Phase != cluster.PhaseAbsent {
		t.Errorf("before the first start: %s, %v; want Absent", snapshot.Phase, err)
	}
	steps := map[string]bool{}
	began := time.Now()
	if err := s.Operate(t.Context(), []string{"start", "--nodes", "2"}, func(e cluster.Event) { steps[e.Step] = true }); err != nil {
		t.Fatal(err)
	}
	t.Logf("start took %s; steps %v", time.Since(began), steps)
	if !steps["apiserver"] && len(steps) < 5 {
		t.Errorf("a start has the steps %v", steps)
	}
	c.LoadImages(t)
	if infos, err := s.Clusters(t.Context()); err != nil || len(infos) != 1 || infos[0].KubernetesVersion == "" ||
		infos[0] != (cluster.Info{Name: c.Name, Phase: cluster.PhaseRunning, Nodes: 2, KubernetesVersion: infos[0].KubernetesVersion}) {
		t.Errorf("clusters: %+v, %v", infos, err)
	}
	if starts := s.Starts(); len(starts) != 1 || len(starts[0].Steps) == 0 {
		t.Errorf("starts: %+v", starts)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *harness.Cluster, *session.Session)
	}{
		{"rows", testRows},
		{"custom columns", testCustomColumns},
		{"describe and details", testDetails},
		{"replace", testReplace},
		{"events", testEvents},
		{"services", testServices},
		{"logs", testLogs},
		{"component logs", testComponentLogs},
		{"DNS", testDNS},
		{"exec", testExec},
		{"forward", testForward},
		{"scale and restart", testScaleAndRestart},
		{"changes", testChanges},
		{"values and relations", testValuesAndRelations},
		{"access", testAccess},
		{"cron jobs", testCronJobs},
		{"drain", testDrain},
		{"a killed node", testKilledNode},
		{"stop and start", testStopAndStart},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, c, s) })
	}
}

var errDone = errors.New("seen all")

// testKilledNode: the daemon only notices that an agent is silent; the engine knows more, and is asked.
func testKilledNode(t *testing.T, c *harness.Cluster, s *session.Session) {
	until := func(what string, ok func(n cluster.NodeStatus, problem *cluster.Problem) bool) {
		t.Helper()
		name := c.Name + "-2"
		err := s.Watch(bounded(t, what), func(v cluster.Snapshot) error {
			var problem *cluster.Problem
			for i := range v.Problems {
				if v.Problems[i].Object == "node/"+name {
					problem = &v.Problems[i]
				}
			}
			for _, n := range v.Nodes {
				if n.Name == name && ok(n, problem) {
					return errDone
				}
			}
			return nil
		})
		if !errors.Is(err, errDone) {
			t.Fatal(err)
		}
	}
	until("a node that runs", func(n cluster.NodeStatus, p *cluster.Problem) bool {
		return n.Host == cluster.PhaseRunning && n.Ready && p == nil
	})
	harness.Docker(t, "kill", harness.Container(t, c.Name+"-2"))
	began := time.Now()
	until("a node that has stopped", func(n cluster.NodeStatus, p *cluster.Problem) bool {
		return n.Host == cluster.PhaseStopped && !n.Ready && p != nil && p.FixText() == "start"
	})
	t.Logf("it was noticed after %s", time.Since(began).Round(10*time.Millisecond))
	c.Must(t, "start")
	began = time.Now()
	until("the node's return", func(n cluster.NodeStatus, p *cluster.Problem) bool {
		return n.Host == cluster.PhaseRunning && n.Ready && p == nil
	})
	t.Logf("it was back %s after start", time.Since(began).Round(10*time.Millisecond))
}

// bounded is a context for one wait.
func bounded(t *testing.T, what string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), harness.Scale(limit), errors.New(what+" did not happen"))
	t.Cleanup(cancel)
	return ctx
}

// world is the rows of a watch, kept as the UI keeps them.
type world struct {
	columns []kube.Column
	rows    map[string]kube.Row // by UID
	synced  bool
}

func (w *world) take(b kube.RowBatch) {
	if b.Reset {
		*w = world{rows: map[string]kube.Row{}}
	}
	if b.Columns != nil {
		w.columns = b.Columns
	}
	for _, r := range b.Set {
		w.rows[r.UID] = r
	}
	for _, uid := range b.Delete {
		delete(w.rows, uid)
	}
	w.synced = w.synced || b.Synced
}

// cell is the text of a row's column; empty if there is none.
func (w *world) row(name string) kube.Row {
	for _, r := range w.rows {
		if r.Name == name {
			return r
		}
	}
	return kube.Row{}
}

func (w *world) cell(name, column string) string {
	r := w.row(name)
	for i, c := range w.columns {
		if c.Name == column && i < len(r.Cells) {
			return r.Cells[i]
		}
	}
	return ""
}

// until watches rows until check says that all was seen.
func until(t *testing.T, s *session.Session, q kube.RowQuery, what string, check func(w *world) bool) {
	t.Helper()
	w := &world{rows: map[string]kube.Row{}}
	err := s.WatchRows(bounded(t, what), q, func(b kube.RowBatch) error {
		if w.take(b); w.synced && check(w) {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		t.Fatalf("%s: %v; rows %+v", what, err, w.rows)
	}
}
