package birth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/controlplane/agents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an agent that reports the times it is given.
type node struct {
	mu    sync.Mutex // guards times
	times cluster.PodOnNode
}

func (n *node) set(times cluster.PodOnNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.times = times
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.URL.Path != "/v1/pods/u" {
		http.Error(w, "no such pod "+r.URL.Path, http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(n.times)
}

// local sends requests to a server, wherever they were meant to go.
type local struct{ addr string }

func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", l.addr
	t := &http.Transport{DisableKeepAlives: true}
	return t.RoundTrip(r)
}

// stage is a View of a cluster with one pod on one node, of which nothing is known yet.
type stage struct {
	*View
	client *fake.Clientset
	node   *node
	pod    *corev1.Pod
	births *Recorder
}

func newStage(t *testing.T) *stage {
	t.Helper()
	o := world()
	pod := o.Pod
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	s := &stage{client: fake.NewClientset(pod), node: &node{}, pod: pod, births: NewRecorder(Limit)}
	server := httptest.NewServer(s.node)
	t.Cleanup(server.Close)
	s.View = New(Options{
		Client: s.client, Births: s.births,
		Nodes:  func() []cluster.Node { return []cluster.Node{{Name: "n2", IP: netip.MustParseAddr("10.0.0.2")}} },
		Agents: agents.New(func(cluster.Node) http.RoundTripper { return local{strings.TrimPrefix(server.URL, "http://")} }, 1),
	})
	return s
}

// follow asks in the background; every story comes over the channel, which ends with the stream.
func (s *stage) follow(ctx context.Context, t *testing.T) (stories <-chan cluster.Birth, result <-chan error) {
	c, r := make(chan cluster.Birth), make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() {
		defer close(c)
		r <- s.Birth(ctx, "shop", "web", func(b cluster.Birth) error {
			select {
			case c <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	t.Cleanup(running.Wait)
	return c, r
}

// until reads stories until one has the step.
func until(t *testing.T, stories <-chan cluster.Birth, step string) cluster.Birth {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case b, ok := <-stories:
			if !ok {
				t.Fatalf("the stream ended before %s", step)
			}
			for _, s := range b.Steps {
				if s.Step == step {
					return b
				}
			}
		case <-limit:
			t.Fatalf("%s is not reported", step)
		}
	}
}

func TestStoryGrowsUntilThePodIsReady(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stories, result := s.follow(ctx, t)
	until(t, stories, "kubelet") // in progress

	s.node.set(cluster.PodOnNode{Begun: ms(20), Filled: ms(120), Volumes: 1, Sandbox: &cluster.SandboxOnNode{Begun: ms(130), Done: ms(310)}})
	until(t, stories, "image/main") // found out by asking again

	s.node.set(*world().Node)
	p := s.pod.DeepCopy()
	p.Status = world().Pod.Status
	if _, err := s.client.CoreV1().Pods("shop").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	b := until(t, stories, "ready")
	for !b.Ready {
		next, ok := <-stories
		if !ok {
			t.Fatal("the stream ended before the pod was ready")
		}
		b = next
	}
	if _, more := <-stories; more {
		t.Error("there is more after the end")
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestRecorderWakesTheStory(t *testing.T) {
	s := newStage(t)
	of := Pod{Namespace: "shop", Name: "web", UID: "u"}
	s.births.Creating(of)
	ctx, cancel := context.WithCancel(t.Context())
	stories, result := s.follow(ctx, t)
	<-stories
	s.births.Created(of, world().Record.Created)
	if b := until(t, stories, "etcd"); !b.Started.Equal(t0) {
		t.Errorf("the story begins at %s", b.Started)
	}
	cancel()
	for range stories {
	}
	if err := <-result; err != nil {
		t.Errorf("who goes away gets %v", err)
	}
}

func TestStoriesThatEndEarly(t *testing.T) {
	s := newStage(t)
	if err := s.Birth(t.Context(), "shop", "nobody", nil); fault.KindOf(err) != fault.ObjectNotFound {
		t.Errorf("a pod that does not exist: %v", err)
	}
	enough := errors.New("enough")
	if err := s.Birth(t.Context(), "shop", "web", func(cluster.Birth) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a failing reader gets %v", err)
	}
	stories, result := s.follow(t.Context(), t)
	<-stories
	if err := s.client.CoreV1().Pods("shop").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range stories {
	}
	if err := <-result; err != nil {
		t.Errorf("a pod that goes: %v", err)
	}
}
