// Package e2e carries out lessons and faults on a real cluster: before, a step is not done; with the solution it is. It takes those
// of quick; with BONSAI_LEARN=all it takes all, also makes each usual mistake, which has to be explained, and waits until bonsai
// itself reports each fault as the fault's file says.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
	"bonsai/bootstrap/wait"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/condition"
	"bonsai/cmd/bonsai/internal/learn/live"
	"bonsai/cmd/bonsai/internal/learn/texts"
	"bonsai/test/e2e/harness"
)

func TestMain(m *testing.M) {
	catchFatal()
	harness.Main(m)
}

// everything is for a quarter of an hour.
func everything() bool { return os.Getenv("BONSAI_LEARN") == "all" }

// quick are the lessons and faults that together have each kind of condition and action (TestQuick), and those in which something was
// wrong before.
var quick = []string{
	"pod", "image", "yaml", "service", "dns", "network-policy", "statefulset", "resources", "probes", "etcd", "taints",
	"silent-shop", "night-job", "hungry", "before-the-start", "two-doors", "waiting-room", "wall", "closed-early",
}

const (
	// greenLimit is how long a solution may take until its step is done, mistakeLimit a mistake until it is noticed.
	greenLimit, mistakeLimit = 90 * time.Second, 60 * time.Second
	// diagnosisLimit is how long bonsai may take to report a fault: some are reported only after they have lasted.
	diagnosisLimit = 2 * time.Minute
	// settleLimit is how long a fault must not look as if it was fixed: longer than a program takes to end, and than a policy takes
	// until it is in effect.
	settleLimit = 8 * time.Second
	// atOnce is how many run at the same time.
	atOnce = 6
)

// school is a cluster with all lessons.
type school struct {
	*harness.Cluster
	world  *live.World
	client kubernetes.Interface
	nodes  []string
	// file is the cluster's own kubeconfig.
	file string

	daemon *localapi.Client
	mu     sync.Mutex // guards the rest
	asked  time.Time
	last   []cluster.Problem
}

func TestSchool(t *testing.T) {
	all, err := learn.Load(texts.Files)
	if err != nil {
		t.Fatal(err)
	}
	c := harness.New(t)
	c.Start(t, "--nodes", "3")
	state := statedir.Dir{Root: c.Dir}.Cluster(c.Name)
	kubeconfig, err := os.ReadFile(state.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	daemon := localapi.NewClient(state.APISocket())
	world, err := live.Open(kubeconfig, daemon, wait.FromEnv())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(world.Close)
	s := &school{Cluster: c, world: world, client: c.Client(t), nodes: c.Nodes(t), file: state.Kubeconfig(), daemon: daemon}
	lessons := slices.Concat(all.All(false, ""), all.All(true, ""))
	began := time.Now()
	var together, alone []func(t *testing.T)
	for _, l := range lessons {
		if !slices.Contains(quick, l.Name) && !everything() {
			continue
		}
		if l.Alone {
			alone = append(alone, s.tests(l)...)
		} else {
			together = append(together, s.tests(l)...)
		}
	}
	// They wait most of the time. -parallel is for tests with clusters of their own, and would let two run.
	t.Run("together", func(t *testing.T) {
		var running sync.WaitGroup
		next := make(chan func(t *testing.T))
		for range atOnce {
			running.Go(func() {
				for test := range next {
					test(t)
				}
			})
		}
		for _, test := range together {
			next <- test
		}
		close(next)
		running.Wait()
	})
	t.Logf("%d tests together took %s", len(together), time.Since(began).Round(time.Second))
	for _, test := range alone {
		test(t)
	}
	t.Run("the command line", s.testCommandLine)
}

// tests are those of a lesson: with its solution, and each mistake in a namespace of its own.
func (s *school) tests(l learn.Lesson) []func(t *testing.T) {
	one := func(name, namespace string, f func(t *testing.T, r *room)) func(t *testing.T) {
		return func(t *testing.T) {
			t.Run(name, func(t *testing.T) { f(t, s.enter(t, l, namespace)) })
		}
	}
	list := []func(t *testing.T){one(l.Name, learn.NamespaceOf(l.Name), func(t *testing.T, r *room) { r.solve(t) })}
	for i, step := range l.Steps {
		if !everything() {
			break
		}
		for k := range step.Mistakes {
			list = append(list, one(fmt.Sprintf("%s, step %d, mistake %d", l.Name, i+1, k+1), fmt.Sprintf("%s-%d-%d", learn.NamespaceOf(l.Name), i+1, k+1),
				func(t *testing.T, r *room) { r.err(t, i, k) }))
		}
	}
	return list
}

// room is one lesson in a namespace.
type room struct {
	*school
	learn.Lesson
	namespace string
}

func (s *school) enter(t *testing.T, l learn.Lesson, namespace string) *room {
	t.Helper()
	l, err := l.Fill(learn.Places{Namespace: namespace, Nodes: s.nodes})
	if err != nil {
		t.Fatal(err)
	}
	r := &room{s, l, namespace}
	t.Cleanup(func() {
		if t.Failed() {
			out, err := runKubectl(s.file, "-n", namespace, "get", "all,events,endpointslices,pvc", "-o", "wide")
			t.Logf("in namespace %s:\n%s%v", namespace, out, err)
		}
		s.leave(t, l, namespace)
	})
	if err := l.Prepare(t.Context(), s.world, namespace, wait.FromEnv()); err != nil {
		t.Fatalf("begin it: %v", err)
	}
	return r
}

// leave takes a lesson away. Only what comes after a lesson about nodes has to wait for that.
func (s *school) leave(t *testing.T, l learn.Lesson, namespace string) {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Scale(2*time.Minute))
	defer cancel()
	if l.Alone {
		if err := s.world.Remove(ctx, namespace, l.Name); err != nil {
			t.Errorf("remove it: %v", err)
		}
		return
	}
	soon := metav1.DeleteOptions{GracePeriodSeconds: new(int64(1))}
	if err := s.client.CoreV1().Pods(namespace).DeleteCollection(ctx, soon, metav1.ListOptions{}); err != nil {
		t.Errorf("remove its pods: %v", err)
	}
	if err := s.client.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{}); err != nil {
		t.Errorf("remove it: %v", err)
	}
}

// do carries out actions. A mistake may be refused by the API server.
func (r *room) do(t *testing.T, actions []learn.Action, mayFail bool) {
	t.Helper()
	for _, a := range actions {
		var err error
		switch words, bad := a.Words(); {
		case a.Manifest != "":
			err = applyManifest(r.file, r.namespace, a.Manifest)
		case bad != nil:
			t.Fatal(bad)
		case words[0] == "k":
			_, err = runKubectl(r.file, append([]string{"-n", r.namespace}, words[1:]...)...)
		default:
			if result := r.Bonsai(t, words[1], words[2:]...); result.Code != 0 {
				err = errors.New(result.String())
			}
		}
		if err != nil && !mayFail {
			t.Fatalf("line %d: %v", a.Line, err)
		}
	}
}

// await follows a step until it is as wanted.
func (r *room) await(t *testing.T, step learn.Step, limit time.Duration, what string, wanted func(learn.Verdict) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(limit))
	defer cancel()
	needs, asks := step.Needs(r.namespace)
	var last learn.Verdict
	err := r.world.Follow(ctx, needs, asks, func(v condition.View) error {
		if last = step.Look(ctx, v, r.namespace); wanted(last) {
			return learn.ErrEnough
		}
		return nil
	})
	if !errors.Is(err, learn.ErrEnough) {
		t.Fatalf("step %q: %s: %v; it is %+v", step.Title, what, err, last)
	}
}

// solve goes through all steps.
func (r *room) solve(t *testing.T) {
	if r.Fault {
		r.settle(t)
	}
	if r.Fault && r.Problem != "" && everything() {
		r.diagnosed(t)
	}
	for i, step := range r.Steps {
		before, err := step.Check(t.Context(), r.world, r.namespace)
		if err != nil {
			t.Fatal(err)
		}
		if before.Green {
			t.Errorf("step %d (%s) is done before anybody did anything", i+1, step.Title)
		}
		if r.Fault && len(before.Mistakes) > 0 {
			t.Errorf("the fault explains the mistakes %v before anybody did anything", before.Mistakes)
		}
		began := time.Now()
		r.do(t, step.Solution, false)
		r.await(t, step, greenLimit, "its solution does not help", func(v learn.Verdict) bool { return v.Green })
		t.Logf("step %d took %s", i+1, time.Since(began).Round(100*time.Millisecond))
	}
}

// err makes a mistake, after the solutions of the steps before.
func (r *room) err(t *testing.T, at, mistake int) {
	for _, step := range r.Steps[:at] {
		r.do(t, step.Solution, false)
		r.await(t, step, greenLimit, "its solution does not help", func(v learn.Verdict) bool { return v.Green })
	}
	step := r.Steps[at]
	r.do(t, step.Mistakes[mistake].Made, true)
	r.await(t, step, mistakeLimit, fmt.Sprintf("mistake %d is not noticed", mistake+1), func(v learn.Verdict) bool { return slices.Contains(v.Mistakes, mistake) })
}

// settle watches a fault for a while from its beginning: it must not look fixed at any time, as learners may look at any time.
func (r *room) settle(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Scale(settleLimit))
	defer cancel()
	step := r.Steps[0]
	needs, asks := step.Needs(r.namespace)
	began := time.Now()
	err := r.world.Follow(ctx, needs, asks, func(v condition.View) error {
		if step.Look(ctx, v, r.namespace).Green {
			return learn.ErrEnough
		}
		return nil
	})
	if errors.Is(err, learn.ErrEnough) {
		t.Errorf("the fault looks fixed after %s", time.Since(began).Round(100*time.Millisecond))
	}
}

// diagnosed waits until bonsai itself reports the fault.
func (r *room) diagnosed(t *testing.T) {
	t.Helper()
	began := time.Now()
	harness.Until(t, diagnosisLimit, "the diagnosis "+r.Problem, func() error {
		problems, err := r.problems(t)
		if err != nil {
			return err
		}
		lines := learn.Diagnosis(problems, r.namespace, r.Alone)
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, r.Problem+":") }) {
			return fmt.Errorf("it reports %q", lines)
		}
		return nil
	})
	t.Logf("diagnosed after %s", time.Since(began).Round(time.Second))
}

// problems are those of the cluster, asked once a second for all lessons.
func (s *school) problems(t *testing.T) ([]cluster.Problem, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.asked) > time.Second {
		snapshot, err := s.daemon.Snapshot(t.Context())
		if err != nil {
			return nil, err
		}
		s.asked, s.last = time.Now(), snapshot.Problems
	}
	return s.last, nil
}

// testCommandLine goes through a lesson as a learner does, and measures how soon a step reacts.
func (s *school) testCommandLine(t *testing.T) {
	s.Must(t, "learn", "start", "pod")
	if r := s.Bonsai(t, "learn", "check"); r.Code != 48 {
		t.Errorf("before: %s", r)
	}
	lines, stop := s.Follow(t, "learn", "check", "--follow", "-o", "json")
	defer stop()
	<-lines // as it is at the beginning
	s.Must(t, "kubectl", "--", "-n", "learn-pod", "create", "configmap", "unrelated")
	began := time.Now()
	s.Must(t, "kubectl", "--", "-n", "learn-pod", "run", "hello", "--image=bonsai/hello")
	made := time.Now()
	select {
	case line := <-lines:
		t.Logf("reacted %s after kubectl had ended, %s after it had begun: %.80s", time.Since(made).Round(time.Millisecond), time.Since(began).Round(time.Millisecond), line)
		if late := time.Since(made); late > harness.Scale(time.Second) {
			t.Errorf("it reacted after %s", late)
		}
	case <-time.After(harness.Scale(30 * time.Second)):
		t.Error("it did not react")
	}
	stop()
	s.Must(t, "learn", "reset", "pod")
	if r := s.Bonsai(t, "kubectl", "--", "get", "namespace", "learn-pod"); r.Code == 0 {
		t.Errorf("after the reset there is still %s", r)
	}
}
