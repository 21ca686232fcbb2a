package dashboard

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/tui/words"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a cluster and its objects. Streams send once, and again after change.
type world struct {
	snapshot cluster.Snapshot
	load     cluster.Load
	addons   []cluster.AddonStatus
	history  cluster.History
	types    []kube.ResourceType
	// objects are JSON by "resource/namespace/name".
	objects map[string]string
	rows    map[string]kube.RowBatch // by resource
	events  []kube.EventLine
	lines   []kube.LogLine
	// relations and revisions are by "resource/namespace/name".
	relations map[string]kube.Relations
	revisions map[string][]kube.Revision
	drain     kube.DrainPlan
	// differences and past are the answers about the past.
	differences []cluster.Difference
	past        cluster.PastObject
	flows       cluster.Flows
	questions   []cluster.DNSQuery
	born        cluster.Birth
	starts      []cluster.Timeline

	mu      sync.Mutex // guards the rest
	done    []kube.Action
	failure error // of Do, and of Types
	changed chan struct{}
	// written are objects whose text was replaced or created; refused is why that fails.
	written []string
	refused error
	// conflicts is how many times a text is refused because only the status has changed.
	conflicts int
	// operated are commands that were run.
	operated []string
	reverted []cluster.RevertRequest
	sampled  int // how often nodes were asked
}

func (w *world) Snapshot(context.Context) cluster.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.snapshot
}

func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Watch(ctx context.Context, send func(cluster.Snapshot) error) error {
	for {
		w.mu.Lock()
		v, changed := w.snapshot, w.changed
		w.mu.Unlock()
		if err := send(v); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (w *world) Load(ctx context.Context, send func(cluster.Load) error) error {
	if err := send(w.load); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Addons(context.Context) ([]cluster.AddonStatus, error) { return w.addons, nil }

func (w *world) History(context.Context, cluster.HistoryQuery) (cluster.History, error) {
	return w.history, nil
}

func (w *world) Types(context.Context) ([]kube.ResourceType, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fault.KindOf(w.failure) == fault.NotRunning {
		return nil, w.failure
	}
	return w.types, nil
}

func (w *world) WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error {
	b := w.rows[q.Type.Resource]
	b.Reset, b.Synced = true, true
	if err := f(b); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Object(_ context.Context, ref kube.Ref) (o map[string]any, err error) {
	text, ok := w.objects[ref.Type.Resource+"/"+ref.Namespace+"/"+ref.Name]
	if !ok {
		return nil, fault.Newf(fault.ObjectNotFound, "%s %q not found", ref.Type.Resource, ref.Name)
	}
	return o, json.Unmarshal([]byte(text), &o)
}

func (w *world) Events(ctx context.Context, f func([]kube.EventLine) error) error {
	if err := f(w.events); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) PodLogs(_ context.Context, _ kube.LogQuery, f func([]kube.LogLine) error) error {
	return f(w.lines)
}

func (w *world) Do(_ context.Context, a kube.Action, _ func(string)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = append(w.done, a)
	return w.failure
}

var at = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// shop is a cluster with a fault.
func shop() *world {
	deployments := kube.ResourceType{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true, Verbs: []string{"list", "delete", "update"}}
	pods := kube.PodType()
	pods.Verbs = []string{"list", "delete", "update"}
	w := &world{changed: make(chan struct{})}
	w.snapshot = cluster.Snapshot{
		Name: "dev", Phase: cluster.PhaseRunning, Time: at, KubernetesVersion: "v1.37.2", APIServer: cluster.PhaseRunning,
		Components: []cluster.Component{
			{Name: "etcd", Phase: cluster.PhaseRunning, Since: at}, {Name: "kube-apiserver", Phase: cluster.PhaseRunning, Since: at},
			{Name: "kube-scheduler", Phase: cluster.PhaseDegraded, Since: at, Reason: "it lost its lease"}, {Name: "kube-controller-manager", Phase: cluster.PhaseRunning},
		},
		Nodes: []cluster.NodeStatus{
			{Name: "dev-1", IP: "10.201.0.10", Role: "control-plane", Host: cluster.PhaseRunning, Kubelet: cluster.PhaseRunning, Ready: true, Version: "v1.37.2",
				DNS: cluster.PhaseRunning, Components: []cluster.Component{{Name: "kubelet", Phase: cluster.PhaseRunning}, {Name: "containerd", Phase: cluster.PhaseRunning}, {Name: "kube-proxy", Phase: cluster.PhaseRunning}}},
			{Name: "dev-2", IP: "10.201.0.11", Role: "worker", Host: cluster.PhaseRunning, Kubelet: cluster.PhaseUnknown, Cordoned: true},
		},
		Problems: []cluster.Problem{{
			Kind: cluster.ProblemName, Severity: cluster.SeverityError, Object: "deployment/shop/cart", Summary: "container web exits again and again", Cause: "it asks for redi",
			Evidence: []string{"lookup redi: no such host"}, Since: at, Count: 1, Pods: []string{"shop/cart-1"}, Container: "web",
			Advice: []cluster.Advice{cluster.Advise("for example", cluster.Kubectl("set", "env").On("deployment/cart", "HOST=redis").In("shop").Change())},
		}},
	}
	w.load = cluster.Load{Time: at, Nodes: []cluster.NodeUsage{{Node: "dev-1", CPU: 0.5, CPUs: 2, Memory: 100 << 20, MemoryLimit: 2 << 30, DiskUsed: 1 << 30, DiskSize: 4 << 30}},
		ControlPlane: cluster.ControlPlaneLoad{CPU: 0.1, Memory: 300 << 20, Watches: 7, DBSize: 3 << 20, Links: []cluster.Link{{From: "kubelet", To: "kube-apiserver", Rate: 12}, {From: "kube-apiserver", To: "etcd", Rate: 3.25}}}}
	w.addons = []cluster.AddonStatus{
		{AddonDescription: cluster.AddonDescription{Name: "dns", Version: "1.0", Maintainer: "bonsai", Description: "Names", Settings: []cluster.AddonSetting{{Name: "cacheSeconds", Default: "30", Description: "How long"}}}, Enabled: true,
			State: cluster.AddonDegraded, Reason: "2 of 3 nodes answer", Values: map[string]string{"cacheSeconds": "10"}, Advice: []cluster.Advice{cluster.Advise("see why", cluster.Bonsai("logs").On("daemon"))}},
		{AddonDescription: cluster.AddonDescription{Name: "gateway", Version: "1.0", Maintainer: "bonsai", Description: "Ingress"}, State: cluster.AddonDisabled},
	}
	w.history = cluster.History{Begun: at, Changes: []cluster.Change{{
		Revision: 7, Time: at, Change: cluster.ChangeUpdated, ObjectName: cluster.ObjectName{APIVersion: "apps/v1", Kind: "Deployment", Resource: "deployments", Namespace: "shop", Name: "cart"},
		Who: "kubectl scale", Fields: []cluster.FieldChange{{Path: "spec.replicas", Before: json.RawMessage("1"), After: json.RawMessage("2")}},
	}}}
	cart := w.history.Changes[0].ObjectName
	w.differences = []cluster.Difference{
		{ObjectName: cart, Change: cluster.ChangeUpdated, Fields: w.history.Changes[0].Fields},
		{ObjectName: cluster.ObjectName{APIVersion: "v1", Kind: "ConfigMap", Resource: "configmaps", Namespace: "shop", Name: "gone"}, Change: cluster.ChangeDeleted},
		{ObjectName: cluster.ObjectName{APIVersion: "v1", Kind: "ConfigMap", Resource: "configmaps", Namespace: "shop", Name: "new"}, Change: cluster.ChangeCreated},
	}
	w.past = cluster.PastObject{ObjectName: cart, At: at, Object: map[string]any{"kind": "Deployment", "metadata": map[string]any{"name": "cart"}, "spec": map[string]any{"replicas": 1}}}
	web, cache := cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: "cart-1", Workload: "deployment/cart"}, cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: "redis-0", Workload: "statefulset/redis"}
	w.flows = cluster.Flows{Time: at, Since: at, Nodes: map[string]string{"dev-2": "it does not answer"}, Flows: []cluster.Flow{
		{From: web, To: cache, Proto: "TCP", Port: 6379, Service: "shop/redis", Asked: "redis.shop.svc.cluster.local", Open: 2, Sent: 2000, Received: 3000, New: 0.5, State: cluster.FlowWorks},
		{From: web, To: cluster.FlowEnd{Kind: cluster.FlowOutside, Address: netip.MustParseAddr("192.0.2.1")}, Proto: "UDP", Port: 53, Unanswered: 3, State: cluster.FlowUnanswered},
		{From: cluster.FlowEnd{Kind: cluster.FlowNode, Name: "dev-1"}, To: cluster.FlowEnd{Kind: cluster.FlowMachine}, Proto: "TCP", Port: 6443, Open: 4, State: cluster.FlowWorks},
	}}
	w.questions = []cluster.DNSQuery{
		{Time: at, Node: "dev-1", Pod: "shop/cart-1", Name: "redi.shop.svc.cluster.local.", Type: "A", Rcode: "NXDOMAIN", Took: 3 * time.Millisecond, Source: cluster.DNSFromCluster, Tries: []string{"redi."}},
		{Time: at, Node: "dev-1", Pod: "node/dev-1", Name: "example.com.", Type: "A", Rcode: "NOERROR", Answers: []string{"192.0.2.1"}, Took: 30 * time.Millisecond, Source: cluster.DNSFromForward},
	}
	w.born = cluster.Birth{Namespace: "shop", Name: "cart-1", Started: at, Ready: true, Note: "the control plane was restarted after this pod was created", Steps: []cluster.BirthStep{
		{Step: "api", Who: "kubectl", Begin: 0, End: 4 * time.Millisecond, Exact: true}, {Step: "schedule", Who: "kube-scheduler", Begin: 5 * time.Millisecond, End: 9 * time.Millisecond, Exact: true},
		{Step: "image/web", Who: "containerd on dev-1", Begin: 20 * time.Millisecond, End: 1200 * time.Millisecond, Detail: "web:1", Failed: true},
	}, Scheduling: &cluster.Decision{Node: "dev-1", Verdicts: []cluster.NodeVerdict{{Node: "dev-1", Total: 100, Scores: map[string]int64{"Fit": 100}}, {Node: "dev-2", Plugin: "NodeUnschedulable", Rejected: []string{"it is cordoned"}}}}}
	w.starts = []cluster.Timeline{{Operation: "start", Started: at, Total: 3 * time.Second, Steps: []cluster.TimelineStep{{Step: "network", Title: "Network", End: 400 * time.Millisecond}, {Step: "controlplane", Title: "Control plane", Begin: 300 * time.Millisecond, End: 2500 * time.Millisecond}}},
		{Operation: "stop", Started: at, Total: time.Second}, {Operation: "start", Started: at.Add(-time.Hour), Total: 9 * time.Second}}
	w.types = []kube.ResourceType{
		{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: []string{"list"}}, deployments, {Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Widget", Namespaced: true, Verbs: []string{"list", "delete"}},
		{Version: "v1", Resource: "namespaces", Kind: "Namespace", Verbs: []string{"delete"}}, {Version: "v1", Resource: "nodes", Kind: "Node", Verbs: []string{"delete"}}, pods,
		{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet", Namespaced: true}, {Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}, kube.ServiceType(),
	}
	w.objects = map[string]string{
		"deployments/shop/cart": `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"cart","namespace":"shop","uid":"u1","creationTimestamp":"2026-05-04T03:02:01Z","labels":{"app":"cart"},
			"annotations":{"note":"by hand"},"managedFields":[{"manager":"kubectl"}]},"spec":{"replicas":2,"paused":false,"selector":{"matchLabels":{"app":"cart"}},"template":{"spec":{"containers":[{"name":"web","image":"web:1"}]}}},
			"status":{"replicas":2,"conditions":[{"type":"Available","status":"False","reason":"MinimumReplicasUnavailable","message":"it does not have minimum availability","lastTransitionTime":"2026-05-04T03:02:01Z"}]}}`,
		"pods/shop/cart-1": `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"cart-1","namespace":"shop","uid":"u2","creationTimestamp":"2026-05-04T03:02:01Z","labels":{"app":"cart"},
			"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"cart-a","controller":true,"uid":"u4"}]},
			"spec":{"nodeName":"dev-1","containers":[{"name":"web","image":"web:1","envFrom":[{"configMapRef":{"name":"settings"}}]}]},
			"status":{"phase":"Running","containerStatuses":[{"name":"web","restartCount":3,"ready":false,"image":"web:1","imageID":"","state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off"}}}]}}`,
		"replicasets/shop/cart-a": `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"cart-a","namespace":"shop","uid":"u4","ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"cart","controller":true,"uid":"u1"}]}}`,
		"services/shop/cart":      `{"apiVersion":"v1","kind":"Service","metadata":{"name":"cart","namespace":"shop","uid":"u5"},"spec":{"selector":{"app":"cart"}}}`,
		"secrets/shop/key": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"shop","uid":"u6","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":\"aHVudGVyMg==\"}"}},
			"data":{"password":"aHVudGVyMg=="},"stringData":{"other":"hunter2"}}`,
		"nodes//dev-1": `{"apiVersion":"v1","kind":"Node","metadata":{"name":"dev-1","uid":"u7"},"spec":{"unschedulable":true}}`,
	}
	pod := func(name string, kinds ...kube.RelationKind) kube.Relation {
		return kube.Relation{Ref: kube.Ref{Type: pods, Namespace: "shop", Name: name}, Kinds: kinds, State: "Running", Children: []kube.Relation{
			{Ref: kube.Ref{Name: "web"}, Kinds: []kube.RelationKind{kube.RelationContains}, State: "CrashLoopBackOff", Bad: true},
		}}
	}
	settings := kube.Relation{Ref: kube.Ref{Type: w.types[0], Namespace: "shop", Name: "settings"}, Kinds: []kube.RelationKind{kube.RelationEnv}, Missing: true}
	replicaSet := kube.Relation{Ref: kube.Ref{Type: w.types[6], Namespace: "shop", Name: "cart-a"}, Kinds: []kube.RelationKind{kube.RelationOwns}, State: "1/2", Bad: true,
		Children: []kube.Relation{pod("cart-1"), pod("cart-2")}}
	w.relations = map[string]kube.Relations{
		"deployments/shop/cart": {Uses: kube.Relation{Children: []kube.Relation{replicaSet, settings}}},
		"pods/shop/cart-1": {Uses: kube.Relation{Children: []kube.Relation{settings}}, UsedBy: []kube.Relation{
			{Ref: kube.Ref{Type: kube.ServiceType(), Namespace: "shop", Name: "cart"}, Kinds: []kube.RelationKind{kube.RelationSelects}}}},
		"services/shop/cart": {Uses: kube.Relation{Children: []kube.Relation{pod("cart-1", kube.RelationSelects)}}},
		"secrets/shop/key":   {UsedBy: []kube.Relation{{Ref: kube.Ref{Type: deployments, Namespace: "shop", Name: "cart"}, Kinds: []kube.RelationKind{kube.RelationVolume}}}},
	}
	w.revisions = map[string][]kube.Revision{"deployments/shop/cart": {
		{Number: 3, Name: "cart-a", Created: at, Current: true, Pods: 2, Template: "spec:\n  containers:\n  - image: web:1\n    name: web\n"},
		{Number: 2, Name: "cart-b", Created: at, Cause: "another image", Template: "spec:\n  containers:\n  - image: web:0\n    name: web\n"},
	}}
	w.drain = kube.DrainPlan{
		Evicted: []kube.DrainedPod{{Namespace: "shop", Name: "cart-1", Owner: kube.Object{Kind: "ReplicaSet", Name: "cart-a"}, LocalData: true, Budget: "keep"}},
		Staying: []kube.DrainedPod{{Namespace: "kube-system", Name: "agent-1", Owner: kube.Object{Kind: "DaemonSet", Name: "agent"}}},
	}
	w.rows = map[string]kube.RowBatch{
		"pods": {Columns: []kube.Column{{Name: "Name"}, {Name: "Status"}, {Name: "Node"}}, Set: []kube.Row{
			{UID: "u2", Namespace: "shop", Name: "cart-1", Cells: []string{"cart-1", "CrashLoopBackOff", "dev-1"}, Created: at, Labels: map[string]string{"app": "cart"}, Owner: kube.Object{Kind: "ReplicaSet", Name: "cart-a"}},
			{UID: "u3", Namespace: "shop", Name: "cart-2", Cells: []string{"cart-2", "Running", "dev-1"}, Created: at, Owner: kube.Object{Kind: "ReplicaSet", Name: "cart-a"}},
		}},
		"replicasets": {Set: []kube.Row{{UID: "u4", Namespace: "shop", Name: "cart-a", Owner: kube.Object{Kind: "Deployment", Name: "cart"}}}},
		"services":    {Set: []kube.Row{{UID: "u5", Namespace: "shop", Name: "cart"}}},
		"namespaces":  {Set: []kube.Row{{UID: "u8", Name: "default"}, {UID: "u9", Name: "shop"}}},
	}
	w.events = []kube.EventLine{{UID: "e1", Time: at, Warning: true, Reason: "BackOff", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: "cart-1"}, Message: "back-off restarting", Count: 3, Source: "kubelet", Node: "dev-1"}}
	w.lines = []kube.LogLine{{Time: at, Source: kube.LogSource{Namespace: "shop", Pod: "cart-1", Container: "web"}, Text: "lookup redi: no such host"}}
	return w
}

// poison puts a text into every string of a value, except into fields that the program itself chooses.
func poison(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() && v.Type() == reflect.TypeFor[string]() {
			v.SetString(v.String() + text)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), text)
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			if v.Len() > 0 {
				quoted, _ := json.Marshal(text)
				v.SetBytes(quoted)
			}
			return
		}
		for i := range v.Len() {
			poison(v.Index(i), text)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			poison(value, text)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				poison(v.Field(i), text)
			}
		}
	}
}

// poisonJSON does the same to every value and key of an object, but what is needed to find it.
func poisonJSON(t *testing.T, object, text string) string {
	var o any
	if err := json.Unmarshal([]byte(object), &o); err != nil {
		t.Fatal(err)
	}
	var walk func(v any, key string) any
	walk = func(v any, key string) any {
		switch v := v.(type) {
		case string:
			if key == "creationTimestamp" || key == "lastTransitionTime" || key == "uid" || key == "app" { // of which the last is in a selector
				return v
			}
			return v + text
		case []any:
			for i := range v {
				v[i] = walk(v[i], key)
			}
		case map[string]any:
			for k, one := range v {
				v[k] = walk(one, k)
			}
			if key == "labels" || key == "annotations" || key == "data" {
				v[text] = text
			}
		}
		return v
	}
	data, err := json.Marshal(walk(o, ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rig is a server with requests to it.
type rig struct {
	*testing.T
	s *Server
	w *world
	// cookies are what a browser would send.
	cookies map[string]string
}

const host = "bonsai-dashboard-dev.localhost:9000"

// parsed are the templates of all rigs, which take longer than a request.
var parsed = newPages()

func newRig(t *testing.T, w *world) *rig {
	t.Helper()
	s := New(Options{
		Cluster: w, Objects: w, Words: func(lang string) Words { return words.For(lang) }, MayUse: func(net.Conn) error { return nil },
		Kept: func() int { return 0 }, Keep: func(int) error { return nil }, Log: slog.New(slog.DiscardHandler), Scale: 1,
	})
	t.Cleanup(s.Close)
	s.pages = parsed
	s.name, s.status = "dev", cluster.Dashboard{Open: true, Port: 9000}
	return &rig{t, s, w, map[string]string{}}
}

// logIn gives the rig a session.
func (r *rig) logIn(readOnly bool) *rig {
	r.Helper()
	login, err := r.s.Login(readOnly)
	if err != nil {
		r.Fatal(err)
	}
	if got := r.get(strings.TrimPrefix(login.URL, "http://"+host)); got.Code != http.StatusSeeOther {
		r.Fatalf("the login answers %d: %s", got.Code, got.Body)
	}
	return r
}

// send sends a request as a browser does that has no page of another site open, changed by change.
func (r *rig) send(method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r.Helper()
	q := httptest.NewRequest(method, path, strings.NewReader(body)).WithContext(r.Context())
	q.Host = host
	q.Header.Set("Accept", "text/html")
	q.Header.Set("Sec-Fetch-Site", "none")
	q.Header.Set("Sec-Fetch-Mode", "navigate")
	q.Header.Set("Sec-Fetch-Dest", "document")
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Origin", "http://"+host)
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range r.cookies {
		q.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	if change != nil {
		change(q)
	}
	got := httptest.NewRecorder()
	r.s.Handler().ServeHTTP(got, q)
	for _, c := range got.Result().Cookies() {
		r.cookies[c.Name] = c.Value
	}
	return got
}

func (r *rig) get(path string) *httptest.ResponseRecorder {
	r.Helper()
	return r.send(http.MethodGet, path, "", nil)
}

// csrf is what a form of the session has.
func (r *rig) csrf() string {
	s := r.s.sessions.find(r.cookies["bonsai-dev"])
	if s == nil {
		return ""
	}
	return s.csrf
}
