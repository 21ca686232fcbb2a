package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"bonsai/bootstrap/cluster"
	"bonsai/test/e2e/harness"
)

// nodeGrace is after how long without a report a node counts as unreachable, in the cluster of TestPause.
const nodeGrace = 15 * time.Second

// TestPause pauses a cluster and wakes it in every way: nothing is lost, nothing is evicted, and nothing wakes it that should
// not.
func TestPause(t *testing.T) {
	t.Parallel()
	c := harness.New(t)
	c.Start(t, "--nodes", "2", "--extra-config", "controller-manager.node-monitor-grace-period="+nodeGrace.String())
	c.LoadImages(t)
	n := keptNamespace(t, c, "paused")
	deployment(t, n, "web", 4) // whose pods leave an unreachable node after a second
	available(t, n, "web", 4)
	n.Create(t, n.Pod("client", harness.Testpod, "serve"))
	p := &paused{Cluster: c, n: n, before: podUIDs(t, n)}

	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"nodes are frozen, and nothing is evicted", p.testFrozen},
		{"what only looks does not wake it", p.testLookers},
		{"a killed control plane stays paused", p.testKilled},
		{"whatever needs it wakes it", p.testWakers},
		{"it pauses when nobody uses it", p.testAuto},
		{"wrong input", p.testWrong},
		{"stop and start", p.testStop},
		{"start", p.testStart},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
	c.Must(t, "pause")
	c.Must(t, "delete")
	if left := c.Leftovers(t); len(left) > 0 {
		t.Errorf("after the deletion of a paused cluster, there is %q", left)
	}
}

// paused is the cluster of TestPause.
type paused struct {
	*harness.Cluster
	n      *harness.Namespace
	before map[string]string
}

func podUIDs(t *testing.T, n *harness.Namespace) map[string]string {
	t.Helper()
	list, err := n.Client.CoreV1().Pods(n.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range list.Items {
		all[p.Name] = string(p.UID)
	}
	return all
}

// is checks what status and the engine say.
func (p *paused) is(t *testing.T, want bool) {
	t.Helper()
	s, code := p.Status(t)
	s.Problems = slices.DeleteFunc(s.Problems, func(p cluster.Problem) bool { return p.Kind == cluster.ProblemRestarted }) // of testKilled
	if got := s.Paused != nil; got != want || want && (code != 32 || s.Phase != cluster.PhasePaused || len(s.Problems) > 0) {
		t.Fatalf("status exits with %d and says %s, paused %+v, problems %+v; want paused: %t", code, s.Phase, s.Paused, s.Problems, want)
	}
	for _, node := range p.Nodes(t) {
		if got := strings.TrimSpace(harness.Docker(t, "inspect", "-f", "{{.State.Paused}}", harness.Container(t, node))); got != strconv.FormatBool(want) {
			t.Fatalf("the container of %s is paused: %s, want %t", node, got, want)
		}
	}
}

// whole checks that the pods are those of before and work.
func (p *paused) whole(t *testing.T) {
	t.Helper()
	harness.Until(t, 20*time.Second, "a healthy cluster", func() error {
		if s, code := p.Status(t); code != 0 {
			return fmt.Errorf("status exits with %d: %s, %+v", code, s.Phase, s.Problems)
		}
		return nil
	})
	after := podUIDs(t, p.n)
	for name, uid := range p.before {
		if after[name] != uid {
			t.Fatalf("pod %s is gone or another one: before %v, after %v", name, p.before, after)
		}
	}
	// After a start of the nodes the containers of a pod that counts as ready are started again, within seconds.
	harness.Until(t, 20*time.Second, "something runs in a pod", func() error {
		r := p.Bonsai(t, "kubectl", "--", "-n", p.n.Namespace, "exec", "client", "--", "testpod", "resolve", "kubernetes.default.svc.cluster.local")
		if r.Code != 0 || r.Stdout == "" {
			return errors.New(r.String())
		}
		return nil
	})
}

func (p *paused) testFrozen(t *testing.T) {
	began := time.Now()
	p.Must(t, "pause")
	t.Logf("pause took %s", time.Since(began).Round(time.Millisecond))
	p.is(t, true)
	p.Must(t, "pause") // once more
	at := time.Now()
	first := p.nodesTime(t)
	harness.Until(t, time.Minute, "the grace period of nodes to pass twice", func() error {
		if left := 2*nodeGrace - time.Since(at); left > 0 {
			return fmt.Errorf("%s to go", left)
		}
		return nil
	})
	if spent := p.nodesTime(t) - first; spent != 0 {
		t.Errorf("processes on paused nodes have run for %s", spent)
	}
	p.is(t, true)
	began = time.Now()
	out := p.Kubectl(t, "get", "pods", "-n", p.n.Namespace, "--no-headers")
	t.Logf("the first kubectl took %s", time.Since(began).Round(time.Millisecond))
	if got := strings.Count(out, "Running"); got != 5 {
		t.Errorf("%d pods are Running, want 5:\n%s", got, out)
	}
	p.is(t, false)
	p.whole(t)
	// Nor when the controllers have had the time to make up their mind.
	woken := time.Now()
	harness.Until(t, time.Minute, "the grace period of nodes to pass", func() error {
		if left := nodeGrace + 5*time.Second - time.Since(woken); left > 0 {
			return fmt.Errorf("%s to go", left)
		}
		return nil
	})
	p.whole(t)
}

// nodesTime is how long all processes of the nodes have run on a processor. The engine has to be on this kernel.
func (p *paused) nodesTime(t *testing.T) (sum time.Duration) {
	t.Helper()
	found := false
	for _, node := range p.Nodes(t) {
		id := strings.TrimSpace(harness.Docker(t, "inspect", "-f", "{{.Id}}", harness.Container(t, node)))
		groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			if text, err := os.ReadFile(group); err != nil || !strings.Contains(string(text), id) {
				continue
			}
			stat, err := os.ReadFile(filepath.Join(filepath.Dir(group), "stat"))
			if err != nil {
				continue
			}
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
				ticks, err := strconv.Atoi(f)
				if err != nil {
					t.Fatal(err)
				}
				sum += time.Duration(ticks) * 10 * time.Millisecond
				found = true
			}
		}
	}
	if !found {
		t.Log("the processes of the nodes cannot be seen from here")
	}
	return sum
}

func (p *paused) testLookers(t *testing.T) {
	p.Must(t, "pause")
	if text := p.Bonsai(t, "status"); text.Code != 32 || !strings.Contains(text.Stdout, "the next request wakes it, or:  bonsai unpause -p "+p.Name) {
		t.Errorf("status says %s", text)
	}
	for _, args := range [][]string{
		{"node", "list"}, {"profile", "list"}, {"port", "list"}, {"checkpoint", "save", "while-paused"}, {"checkpoint", "list"}, {"history"}, {"addons", "list"}, {"config", "view"},
		{"kubectl", "--", "get", "--raw", "/readyz"}, {"kubectl", "--", "version"},
	} {
		if r := p.Bonsai(t, args[0], args[1:]...); r.Code != 0 {
			t.Errorf("bonsai %q of a paused cluster: %s", args, r)
		}
		p.is(t, true)
	}
}

func (p *paused) testKilled(t *testing.T) {
	pid := daemonPID(t, p.Cluster)
	kill(t, pid)
	harness.Until(t, 60*time.Second, "another control plane", func() error {
		if daemonPID(t, p.Cluster) == pid {
			return errors.New("there is none")
		}
		if s, _ := p.Status(t); s.Phase != cluster.PhasePaused {
			return fmt.Errorf("it is %s", s.Phase)
		}
		return nil
	})
	for _, node := range p.Nodes(t) {
		if got := strings.TrimSpace(harness.Docker(t, "inspect", "-f", "{{.State.Paused}}", harness.Container(t, node))); got != "true" {
			t.Errorf("the container of %s is paused: %s", node, got)
		}
	}
	p.Kubectl(t, "get", "nodes")
	p.is(t, false)
	p.whole(t)
}

func (p *paused) testWakers(t *testing.T) {
	for _, args := range [][]string{
		{"unpause"}, {"ssh", "1", "--", "true"}, {"image", "ls"}, {"node", "update", "1", "--cpus", "2"}, {"addons", "enable", "default-storageclass"},
		{"kubectl", "--", "exec", "-n", "paused", "client", "--", "testpod", "resolve", "kubernetes.default.svc.cluster.local"}, {"checkpoint", "restore", "while-paused"},
	} {
		p.Must(t, "pause")
		if r := p.Bonsai(t, args[0], args[1:]...); r.Code != 0 {
			t.Errorf("bonsai %q of a paused cluster: %s", args, r)
		}
		p.is(t, false)
	}
	p.whole(t)
}

func (p *paused) testAuto(t *testing.T) {
	p.Must(t, "pause", "--auto", "10s")
	if out := p.Must(t, "config", "view"); !strings.Contains(out, "autoPause: 10s\n") {
		t.Errorf("the cluster file is\n%s", out)
	}
	harness.Until(t, time.Minute, "the cluster to pause", func() error {
		s, _ := p.Status(t)
		if s.Paused == nil || !s.Paused.Auto {
			return fmt.Errorf("it is %s, %+v", s.Phase, s.Paused)
		}
		return nil
	})
	harness.Until(t, 20*time.Second, "its nodes to be frozen", func() error {
		for _, node := range p.Nodes(t) {
			if got := strings.TrimSpace(harness.Docker(t, "inspect", "-f", "{{.State.Paused}}", harness.Container(t, node))); got != "true" {
				return errors.New(node + " runs")
			}
		}
		return nil
	})
	p.Kubectl(t, "get", "pods", "-A")
	p.is(t, false)
	p.Must(t, "pause", "--auto", "off")
	p.whole(t)
}

func (p *paused) testWrong(t *testing.T) {
	for _, args := range [][]string{{"pause", "--auto", "3s"}, {"pause", "--auto", "soon"}, {"pause", "--auto", ""}, {"pause", "now"}, {"unpause", "now"}} {
		if r := p.Bonsai(t, args[0], args[1:]...); r.Code != 2 {
			t.Errorf("bonsai %q: %s", args, r)
		}
	}
	p.is(t, false)
}

func (p *paused) testStop(t *testing.T) {
	p.Must(t, "pause")
	p.Must(t, "stop")
	if r := p.Bonsai(t, "unpause"); r.Code != 32 {
		t.Errorf("unpause of a stopped cluster: %s", r)
	}
	if r := p.Bonsai(t, "pause"); r.Code != 32 {
		t.Errorf("pause of a stopped cluster: %s", r)
	}
	p.Start(t)
	p.is(t, false)
	p.whole(t)
}

func (p *paused) testStart(t *testing.T) {
	p.Must(t, "pause")
	p.Start(t)
	p.is(t, false)
	p.whole(t)
}
