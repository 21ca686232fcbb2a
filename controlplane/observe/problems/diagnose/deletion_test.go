package diagnose

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	registrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"bonsai/bootstrap/cluster"
)

// goingSpace is a namespace that has been about to go for so long, with what its controller says about that.
func goingSpace(since time.Duration, said map[corev1.NamespaceConditionType]string) *corev1.Namespace {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "doomed", DeletionTimestamp: new(ago(since))}}
	n.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
	n.Status.Phase = corev1.NamespaceTerminating
	for kind, message := range said {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NamespaceCondition{Type: kind, Status: corev1.ConditionTrue, Message: message})
	}
	return n
}

// api is an APIService that has been in a state for an hour.
func api(status registrationv1.ConditionStatus, reason, message string) *registrationv1.APIService {
	return &registrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.dead.test"},
		Spec:       registrationv1.APIServiceSpec{Group: "dead.test", Version: "v1beta1", Service: &registrationv1.ServiceReference{Namespace: "default", Name: "gone"}},
		Status: registrationv1.APIServiceStatus{Conditions: []registrationv1.APIServiceCondition{{
			Type: registrationv1.Available, Status: status, Reason: reason, Message: message, LastTransitionTime: ago(time.Hour),
		}}},
	}
}

func TestAPIServicesThatDoNotAnswer(t *testing.T) {
	for name, test := range map[string]struct{ reason, message, cause string }{
		"no Service": {"ServiceNotFound", `service/gone in "default" is not present`, "its Service default/gone does not exist"},
		"no pods":    {"MissingEndpoints", `endpoints for service/gone in "default" have no addresses with port name "https"`, "no pod of its Service default/gone is ready"},
		"refused": {
			"FailedDiscoveryCheck", "failing or missing response from https://10.96.3.4:443/apis/dead.test/v1beta1: dial tcp 10.96.3.4:443: connect: connection refused",
			"failing or missing response from https://10.96.3.4:443",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.APIServices = []*registrationv1.APIService{api(registrationv1.ConditionFalse, test.reason, test.message)}
			w := want{cluster.ProblemAPI, "apiservice/v1beta1.dead.test", "nobody answers for API dead.test/v1beta1", test.cause, "delete apiservice v1beta1.dead.test"}
			check(t, s, w)
			s.APIServices[0].Status.Conditions[0].LastTransitionTime = ago(time.Second)
			check(t, s)
		})
	}
	s := world()
	s.APIServices = []*registrationv1.APIService{api(registrationv1.ConditionTrue, "Passed", "")}
	check(t, s)
}

func TestNamespacesThatCannotBeDeleted(t *testing.T) {
	const object = "namespace/doomed"
	content := map[corev1.NamespaceConditionType]string{
		corev1.NamespaceContentRemaining:    "Some resources are remaining: configmaps. has 1 resource instances",
		corev1.NamespaceFinalizersRemaining: "Some content in the namespace has finalizers remaining: nobody.test/x in 1 resource instances",
	}
	held := map[Question]Answer{{Topic: HeldObjects, Namespace: "doomed", Name: "configmaps."}: {
		Held: []Held{{Kind: "ConfigMap", Namespace: "doomed", Name: "x", Finalizers: []string{"nobody.test/x"}}},
	}}
	pods := map[corev1.NamespaceConditionType]string{corev1.NamespaceContentRemaining: "Some resources are remaining: pods. has 1 resource instances"}
	ending := func(since time.Duration) *corev1.Pod {
		return pod("a", alone("db"), func(p *corev1.Pod) { p.Namespace, p.DeletionTimestamp = "doomed", new(ago(since)) })
	}
	for name, test := range map[string]struct {
		space *corev1.Namespace
		state func(*State)
		wants []want
	}{
		"it has only begun": {space: goingSpace(10*time.Second, content), state: func(s *State) { s.Answers = held }},
		"an object has a finalizer": {
			space: goingSpace(time.Minute, content), state: func(s *State) { s.Answers = held },
			wants: []want{{
				cluster.ProblemDeletion, object, "namespace doomed is being deleted, but ConfigMap x has finalizer nobody.test/x, which holds it", "does not run here",
				`bonsai kubectl -p dev -- patch configmaps x -n doomed --type merge -p '{"metadata":{"finalizers":null}}'`,
			}},
		},
		"what holds the objects is not known yet": {space: goingSpace(time.Minute, content)},
		"Kubernetes' own finalizers stay": {
			space: goingSpace(time.Minute, content), state: func(s *State) {
				s.Answers = map[Question]Answer{{Topic: HeldObjects, Namespace: "doomed", Name: "configmaps."}: {Held: []Held{
					{Kind: "ConfigMap", Name: "x", Finalizers: []string{"a.test/x", "foregroundDeletion"}}, {Kind: "ConfigMap", Name: "y", Finalizers: []string{"a.test/x"}},
				}}}
			},
			wants: []want{{
				cluster.ProblemDeletion, object, "namespace doomed is being deleted, but ConfigMap x and 1 other object have finalizers, which hold it", "", `{"finalizers":["foregroundDeletion"]}`,
			}},
		},
		"an API does not answer": {
			space: goingSpace(time.Minute, map[corev1.NamespaceConditionType]string{
				corev1.NamespaceDeletionDiscoveryFailure: "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: dead.test/v1beta1: stale GroupVersion discovery: dead.test/v1beta1",
			}),
			state: func(s *State) {
				s.APIServices = []*registrationv1.APIService{api(registrationv1.ConditionFalse, "ServiceNotFound", "")}
			},
			wants: []want{
				{cluster.ProblemAPI, "apiservice/v1beta1.dead.test", "nobody answers for API dead.test/v1beta1", "", ""},
				{
					cluster.ProblemDeletion, object, "namespace doomed is being deleted, but its content is not known without API v1beta1.dead.test",
					"v1beta1.dead.test does not answer: its Service default/gone does not exist", "delete apiservice v1beta1.dead.test",
				},
			},
		},
		"an API that nobody knows does not answer": {
			space: goingSpace(time.Minute, map[corev1.NamespaceConditionType]string{corev1.NamespaceDeletionDiscoveryFailure: "Discovery failed for x"}),
			wants: []want{{
				cluster.ProblemDeletion, object, "namespace doomed is being deleted, but its content is not known, because an API of the cluster does not answer", "Discovery failed for x", "get apiservices",
			}},
		},
		"a webhook refuses": {
			space: goingSpace(time.Minute, map[corev1.NamespaceConditionType]string{corev1.NamespaceDeletionContentFailure: `failed calling webhook "x"`}),
			wants: []want{{cluster.ProblemDeletion, object, "namespace doomed is being deleted, but some of its objects cannot be deleted", `failed calling webhook "x"`, "describe namespace doomed"}},
		},
		"a pod takes its time": {space: goingSpace(time.Hour, pods), state: func(s *State) { s.Pods = []*corev1.Pod{ending(10 * time.Second)} }},
		"a pod does not end": {
			space: goingSpace(time.Hour, pods), state: func(s *State) { s.Pods = []*corev1.Pod{ending(2 * time.Minute)} },
			wants: []want{{cluster.ProblemDeletion, object, "namespace doomed is being deleted, but node dev-1 does not end pod db", "still runs", "--force"}},
		},
		"a pod's node is away": {
			space: goingSpace(time.Hour, pods), state: func(s *State) {
				s.Pods = []*corev1.Pod{ending(10 * time.Second)}
				unreachable(s, "dev-1", time.Hour)
			},
			wants: []want{{cluster.ProblemDeletion, object, "namespace doomed is being deleted, but pod db is on node dev-1, which does not report", "", "bonsai start"}},
		},
		"a finalizer of its own": {
			space: func() *corev1.Namespace {
				n := goingSpace(time.Minute, nil)
				n.Finalizers = []string{"nobody.test/x"}
				return n
			}(),
			wants: []want{{cluster.ProblemDeletion, object, "namespace doomed is being deleted, but its finalizer nobody.test/x holds it", "", "patch namespace doomed"}},
		},
		"it goes on its own": {space: goingSpace(time.Minute, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			s.Namespaces = append(s.Namespaces, test.space)
			if test.state != nil {
				test.state(&s)
			}
			check(t, s, test.wants...)
		})
	}
	s := world()
	s.Namespaces = append(s.Namespaces, goingSpace(10*time.Second, content))
	if r := check(t, s); !r.Next.Equal(now.Add(20 * time.Second)) {
		t.Errorf("it is looked at again at %s", r.Next)
	}
}

// unreachable makes a node silent for so long.
func unreachable(s *State, name string, since time.Duration) {
	for _, n := range s.Nodes {
		if n.Name == name {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, LastTransitionTime: ago(since)}}
		}
	}
}

func TestObjectsThatCannotBeDeleted(t *testing.T) {
	const finalizer = "nobody.test/x"
	using := func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
	}
	inUse := claim(nil, func(c *corev1.PersistentVolumeClaim) {
		c.DeletionTimestamp, c.Finalizers, c.Status.Phase = new(ago(time.Minute)), []string{claimInUse}, corev1.ClaimBound
	})
	bound := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv", DeletionTimestamp: new(ago(time.Minute)), Finalizers: []string{volumeInUse}},
		Spec:       corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "shop", Name: "data"}}, Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
	}
	definition := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: "widgets.example.com", DeletionTimestamp: new(ago(time.Minute)), Finalizers: []string{instancesOf},
	}}
	going := func(since time.Duration, finalizers ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = new(ago(since)), finalizers }
	}
	const own = "the controller that set the finalizer has not removed it"
	for name, test := range map[string]struct {
		state func(*State)
		wants []want
	}{
		"pod": {
			func(s *State) { s.Pods = []*corev1.Pod{pod("a", alone("db"), going(time.Minute, finalizer))} },
			[]want{{cluster.ProblemDeletion, "pod/shop/db", "the pod is being deleted, but finalizer nobody.test/x holds it", own, "patch pod db -n shop"}},
		},
		"pod for a moment": {func(s *State) { s.Pods = []*corev1.Pod{pod("a", alone("db"), going(time.Second, finalizer))} }, nil},
		"pod that does not end": {
			func(s *State) {
				s.Pods = []*corev1.Pod{pod("a", alone("db"), going(2*time.Minute))}
				s.Events = []*corev1.Event{eventAbout("Pod", "db", "FailedKillPod", "error killing pod: device or resource busy", time.Minute)}
			},
			[]want{{cluster.ProblemDeletion, "pod/shop/db", "the pod is being deleted, but node dev-1 does not end it", "device or resource busy", "logs kubelet -p dev --node dev-1"}},
		},
		"claim in use": {
			func(s *State) {
				s.Claims, s.Pods = []*corev1.PersistentVolumeClaim{inUse}, []*corev1.Pod{pod("a", alone("db"), using)}
			},
			[]want{{cluster.ProblemDeletion, "persistentvolumeclaim/shop/data", "the claim is being deleted, but pod db uses it", "its data with it", "delete pod db"}},
		},
		"claim in use by a Deployment": {
			func(s *State) {
				s.Claims, s.Pods = []*corev1.PersistentVolumeClaim{inUse}, []*corev1.Pod{pod("a", using), pod("b", using)}
			},
			[]want{{
				cluster.ProblemDeletion, "persistentvolumeclaim/shop/data", "the claim is being deleted, but pod cart-7d9f4-a and 1 other use it", "", "scale deployment/cart -n shop --replicas 0",
			}},
		},
		"claim that is free": {func(s *State) { s.Claims = []*corev1.PersistentVolumeClaim{inUse} }, nil},
		"volume": {
			func(s *State) { s.Volumes = []*corev1.PersistentVolume{bound} },
			[]want{{cluster.ProblemDeletion, "persistentvolume/pv", "volume pv is being deleted, but claim shop/data has it", "with its claim", "delete pvc data -n shop --wait=false"}},
		},
		"Service": {
			func(s *State) {
				s.Services = append(s.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front", DeletionTimestamp: new(ago(time.Minute)), Finalizers: []string{finalizer}}})
			},
			[]want{{cluster.ProblemDeletion, "service/shop/front", "the Service is being deleted, but finalizer nobody.test/x holds it", own, "patch service front -n shop"}},
		},
		"objects of a CustomResourceDefinition": {
			func(s *State) {
				s.Definitions = []*metav1.PartialObjectMetadata{definition}
				s.Answers = map[Question]Answer{{Topic: HeldObjects, Name: "widgets.example.com"}: {Held: []Held{{Kind: "Widget", Namespace: "shop", Name: "w", Finalizers: []string{finalizer}}}}}
			},
			[]want{{
				cluster.ProblemDeletion, "customresourcedefinition/widgets.example.com", "CustomResourceDefinition widgets.example.com is being deleted, but Widget w has finalizer nobody.test/x, which holds it", own,
				"patch widgets.example.com w -n shop",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := world()
			test.state(&s)
			check(t, s, test.wants...)
		})
	}
}

// What has a finalizer in a namespace that goes is reported once, for the namespace.
func TestOneProblemForANamespaceAndWhatHoldsIt(t *testing.T) {
	s := world()
	s.Namespaces = append(s.Namespaces, goingSpace(time.Minute, map[corev1.NamespaceConditionType]string{
		corev1.NamespaceContentRemaining: "Some resources are remaining: pods. has 1 resource instances",
	}))
	p := pod("a", alone("db"), func(p *corev1.Pod) {
		p.Namespace, p.DeletionTimestamp, p.Finalizers = "doomed", new(ago(time.Minute)), []string{"nobody.test/x"}
	})
	s.Pods = []*corev1.Pod{p}
	s.Answers = map[Question]Answer{{Topic: HeldObjects, Namespace: "doomed", Name: "pods."}: {Held: []Held{{Kind: "Pod", Namespace: "doomed", Name: "db", Finalizers: p.Finalizers}}}}
	r := check(t, s, want{cluster.ProblemDeletion, "namespace/doomed", "namespace doomed is being deleted, but Pod db has finalizer nobody.test/x, which holds it", "", "patch pods db"})
	if got := strings.Join(r.Problems[0].Evidence, "; "); got != "Pod doomed/db: finalizers nobody.test/x" {
		t.Errorf("the evidence is %q", got)
	}
}
