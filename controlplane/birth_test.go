package controlplane_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"bonsai/bootstrap/cluster"
	"bonsai/controlplane/observe/birth"
)

// TestBirths looks at what is noted of pods with the real API server and scheduler. Nothing runs on the nodes.
func TestBirths(t *testing.T) {
	s := startStorage(t)
	third := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "third"}}
	if _, err := s.client.CoreV1().Nodes().Create(t.Context(), &third, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.ready(t, "third")
	changeNode(t, s, "third", func(n *corev1.Node) { n.Spec.Unschedulable = true })
	eventually(t, "the scheduler knowing that a node is cordoned", func() error {
		p := bornPod(t, s.client, nil)
		d := settledBirth(t, s, p.Name, func(r birth.Record) bool { return r.Decision != nil }).Decision
		if i := slices.IndexFunc(d.Verdicts, func(v cluster.NodeVerdict) bool { return v.Node == "third" }); i < 0 || len(d.Verdicts[i].Rejected) == 0 {
			return fmt.Errorf("it decides %+v", d)
		}
		return nil
	})

	t.Run("two possible nodes and one cordoned", func(t *testing.T) {
		p := bornPod(t, s.client, nil)
		got := settledBirth(t, s, p.Name, func(r birth.Record) bool { return !r.Bound.End.IsZero() })
		checkOrder(t, got)
		if got.Created.Who != "controlplane.test" && got.Created.Who != "kube-apiserver" || got.UID != string(p.UID) {
			t.Errorf("created by %q", got.Created.Who)
		}
		if got.Created.Admission.Took() <= 0 || got.Created.Etcd.Took() <= 0 || got.Bound.Who != "kube-scheduler" || got.Bound.Etcd.Took() <= 0 {
			t.Errorf("creation %+v, binding %+v", got.Created, got.Bound)
		}
		d := got.Decision
		if d.Node == "third" || d.Attempts != 1 || d.Took <= 0 || len(d.Verdicts) != 3 || d.Weights["TaintToleration"] != 3 {
			t.Fatalf("the decision is %+v", d)
		}
		best := int64(-1)
		for _, v := range d.Verdicts {
			if v.Node == "third" {
				if v.Plugin != "NodeUnschedulable" || len(v.Rejected) != 1 || len(v.Scores) > 0 {
					t.Errorf("the cordoned node: %+v", v)
				}
				continue
			}
			sum := int64(0)
			for _, n := range v.Scores {
				sum += n
			}
			if len(v.Rejected) > 0 || len(v.Scores) < 2 || v.Total <= 0 || sum != v.Total {
				t.Errorf("a possible node: %+v", v)
			}
			best = max(best, v.Total)
		}
		if i := slices.IndexFunc(d.Verdicts, func(v cluster.NodeVerdict) bool { return v.Node == d.Node }); i < 0 || d.Verdicts[i].Total != best {
			t.Errorf("%s was chosen, which has not the most of %+v", d.Node, d.Verdicts)
		}
	})

	t.Run("one possible node", func(t *testing.T) {
		p := bornPod(t, s.client, func(p *corev1.Pod) {
			p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: s.spec.Nodes[0].Name}
		})
		d := settledBirth(t, s, p.Name, func(r birth.Record) bool { return r.Decision != nil }).Decision
		rejected := 0
		for _, v := range d.Verdicts {
			if len(v.Scores) > 0 {
				t.Errorf("%s was scored, which upstream does not do then", v.Node)
			}
			if v.Plugin == "NodeAffinity" || v.Plugin == "NodeUnschedulable" {
				rejected++
			}
		}
		if d.Node != s.spec.Nodes[0].Name || rejected != 2 || d.Note == "" {
			t.Errorf("the decision is %+v", d)
		}
	})

	t.Run("no possible node, then one", func(t *testing.T) {
		p := bornPod(t, s.client, func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"colour": "green"} })
		d := settledBirth(t, s, p.Name, func(r birth.Record) bool { return r.Decision != nil }).Decision
		if d.Node != "" || len(d.Verdicts) != 3 || slices.ContainsFunc(d.Verdicts, func(v cluster.NodeVerdict) bool { return len(v.Rejected) == 0 }) {
			t.Errorf("the decision is %+v", d)
		}
		s.hasEvent(t, p.Name, "FailedScheduling", "0/3 nodes are available") // upstream's words, without any of ours
		label(t, s, s.spec.Nodes[1].Name, "colour", "green")
		d = settledBirth(t, s, p.Name, func(r birth.Record) bool { return r.Decision.Node != "" }).Decision
		if d.Node != s.spec.Nodes[1].Name || d.Attempts < 2 {
			t.Errorf("the decision is %+v", d)
		}
	})

	t.Run("equal pods are still scheduled in batches", func(t *testing.T) {
		for range 4 {
			p := bornPod(t, s.client, nil)
			if d := settledBirth(t, s, p.Name, func(r birth.Record) bool { return r.Decision != nil }).Decision; len(d.Verdicts) != 3 || d.Node == "" {
				t.Errorf("the decision is %+v", d)
			}
		}
	})

	t.Run("what is no birth", func(t *testing.T) {
		dry := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "dry"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}}}
		if _, err := s.client.CoreV1().Pods("default").Create(t.Context(), dry, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := s.Births().Find("default", "dry"); ok {
			t.Error("a dry run is remembered")
		}
		p := bornPod(t, s.client, nil)
		if _, err := s.client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.Name}, Spec: dry.Spec}, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		if got := settledBirth(t, s, p.Name, func(birth.Record) bool { return true }); got.UID != string(p.UID) {
			t.Errorf("a refused pod took the place of %s", p.Name)
		}
	})

	t.Run("a node reports", func(t *testing.T) {
		p := bornPod(t, s.client, nil)
		record := settledBirth(t, s, p.Name, func(r birth.Record) bool { return !r.Bound.End.IsZero() })
		kubelet := nodeClient(t, s, record.Decision.Node)
		eventually(t, "the pod on its node", func() (err error) {
			p, err = kubelet.CoreV1().Pods("default").Get(t.Context(), p.Name, metav1.GetOptions{})
			return err
		})
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		p, err := kubelet.CoreV1().Pods("default").UpdateStatus(t.Context(), p, metav1.UpdateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		before := settledBirth(t, s, p.Name, func(r birth.Record) bool { return !r.Reported.IsZero() })
		p.Status.Conditions[0].Status = corev1.ConditionTrue
		if _, err := kubelet.CoreV1().Pods("default").UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		after := settledBirth(t, s, p.Name, func(r birth.Record) bool { return !r.Ready.IsZero() })
		if !before.Ready.IsZero() || !after.Reported.Equal(before.Reported) || !after.Ready.After(after.Reported) {
			t.Errorf("reported %s, ready %s; before that %s, %s", after.Reported, after.Ready, before.Reported, before.Ready)
		}
		event := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: p.Name + ".1", Namespace: "default"},
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: p.Name, UID: p.UID, FieldPath: "spec.containers{main}"},
			Reason:         "Pulled", Message: "Successfully pulled", Source: corev1.EventSource{Component: "kubelet", Host: record.Decision.Node},
		}
		if _, err := kubelet.CoreV1().Events("default").Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		pulls := settledBirth(t, s, p.Name, func(r birth.Record) bool { return len(r.Pulls) > 0 }).Pulls
		if pulls[0].Container != "main" || pulls[0].End.IsZero() || pulls[0].Message != "Successfully pulled" {
			t.Errorf("pulls are %+v", pulls)
		}
	})
}

// checkOrder fails unless the times of a bound pod follow each other. The scheduler may be done before the creator has
// the answer.
func checkOrder(t *testing.T, r birth.Record) {
	t.Helper()
	times := []time.Time{r.Created.Begin, r.Created.Admission.Begin, r.Created.Admission.End, r.Queued, r.Cycle.Begin, r.Cycle.End, r.Bound.Begin, r.Bound.End}
	if !slices.IsSortedFunc(times, time.Time.Compare) || r.Created.Etcd.End.After(r.Created.End) || r.Bound.End.Sub(r.Created.Begin) > storageLimit {
		t.Errorf("times do not follow each other: %+v", r)
	}
}

// bornPod creates a pod whose name the API server makes up.
func bornPod(t *testing.T, client kubernetes.Interface, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "born-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "main", Image: "none", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("0")}},
	}}}}
	if change != nil {
		change(p)
	}
	p, err := client.CoreV1().Pods("default").Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// settledBirth waits until so much of a pod is known.
func settledBirth(t *testing.T, s *storage, pod string, enough func(birth.Record) bool) (r birth.Record) {
	t.Helper()
	eventually(t, "the birth of "+pod, func() error {
		ok := false
		if r, _, ok = s.Births().Find("default", pod); !ok {
			return errors.New("it is not known")
		}
		if !enough(r) {
			return fmt.Errorf("it is %+v", r)
		}
		return nil
	})
	return r
}

func label(t *testing.T, s *storage, node, key, value string) {
	t.Helper()
	changeNode(t, s, node, func(n *corev1.Node) {
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[key] = value
	})
}

func changeNode(t *testing.T, s *storage, node string, change func(*corev1.Node)) {
	t.Helper()
	eventually(t, "a change of node "+node, func() error {
		n, err := s.client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(n)
		_, err = s.client.CoreV1().Nodes().Update(t.Context(), n, metav1.UpdateOptions{})
		return err
	})
}

// nodeClient speaks as the kubelet of a node.
func nodeClient(t *testing.T, s *storage, node string) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(s.LoopbackConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + node, Groups: []string{"system:nodes"}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
