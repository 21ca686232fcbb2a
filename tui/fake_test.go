package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// fakeNow is when everything in the tests happens.
var fakeNow = time.Date(2026, 3, 14, 12, 4, 31, 0, time.UTC)

// fakeSession is a cluster in memory: what it reports can be changed, and what it is asked to do is recorded.
type fakeSession struct {
	mu       sync.Mutex // guards the rest
	changed  chan struct{}
	snapshot cluster.Snapshot
	load     cluster.Load
	rows     map[string][]kube.Row // by resource
	columns  map[string][]kube.Column
	events   []kube.EventLine
	services []kube.ServiceLine
	logs     []kube.LogLine
	queries  []cluster.DNSQuery
	births   map[string]cluster.Birth
	yaml     map[string]string
	types    []kube.ResourceType
	// down, if set, is what everything fails with.
	down error
	// done is what was carried out; operated the verbs that were run.
	done     []kube.Action
	replaced []string
	operated [][]string
	queried  []kube.LogQuery // of PodLogs
	executed []kube.Exec
	// containers are those of every pod, if there are any; replace, if set, is what Replace does.
	containers []kube.ContainerDetail
	replace    func(ref kube.Ref, yaml string) error
	// operation sends the events of Operate; nil does nothing.
	operation func(ctx context.Context, args []string, f func(cluster.Event)) error
	fail      error // of Do and Replace
	// forwarded is what was asked of Forward, unforwarded how many of them have ended; taken are ports of this machine
	// that cannot be had, broken why forwarded ports lead nowhere.
	forwarded   []kube.ForwardSpec
	unforwarded int
	taken       []int
	broken      string
	// ports are those of this machine that lead into the cluster, images those of the nodes.
	ports  []cluster.PortStatus
	images map[string][]cluster.NodeImage
	// disabled are addons beside those of the snapshot.
	disabled []cluster.AddonStatus
	// history, if set, is what History answers.
	history func() (cluster.History, error)
}

var _ Session = (*fakeSession)(nil)

// update changes the world and notifies everybody.
func (s *fakeSession) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// follow calls tell now and after each change, until ctx ends, tell fails or the world is down.
func (s *fakeSession) follow(ctx context.Context, tell func() error) error {
	for {
		s.mu.Lock()
		changed, down := s.changed, s.down
		s.mu.Unlock()
		if down != nil {
			return down
		}
		if err := tell(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// isDown is what everything fails with now.
func (s *fakeSession) isDown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *fakeSession) Name() string { return "dev" }

func (s *fakeSession) Observe(context.Context) (cluster.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot, nil
}

func (s *fakeSession) Watch(ctx context.Context, f func(cluster.Snapshot) error) error {
	return s.follow(ctx, func() error {
		s.mu.Lock()
		v := s.snapshot
		s.mu.Unlock()
		if v.Phase == cluster.PhaseAbsent || v.Phase == cluster.PhaseStopped {
			return fault.Newf(fault.NotRunning, "the cluster is not running")
		}
		return f(v)
	})
}

func (s *fakeSession) Load(ctx context.Context, f func(cluster.Load) error) error {
	return s.follow(ctx, func() error {
		s.mu.Lock()
		v := s.load
		s.mu.Unlock()
		return f(v)
	})
}

func (s *fakeSession) Starts() []cluster.Timeline {
	return []cluster.Timeline{{Operation: "start", Total: 2900 * time.Millisecond, Steps: []cluster.TimelineStep{
		{Step: "engine", Title: "Container engine", End: 20 * time.Millisecond},
		{Step: "controlplane", Title: "Control plane", Begin: 30 * time.Millisecond, End: 2200 * time.Millisecond},
		{Step: "node/dev-1", Title: "Node dev-1", Begin: 2200 * time.Millisecond, End: 2900 * time.Millisecond},
	}}}
}

func (s *fakeSession) Clusters(context.Context) ([]cluster.Info, error) {
	return []cluster.Info{{Name: "dev", Phase: cluster.PhaseRunning, Nodes: 3, KubernetesVersion: "v1.37.2"}, {Name: "ci", Phase: cluster.PhaseStopped, Nodes: 1}}, nil
}

func (s *fakeSession) Ports(context.Context) ([]cluster.PortStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ports), s.down
}

func (s *fakeSession) Images(context.Context) (map[string][]cluster.NodeImage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.images), s.down
}

func (s *fakeSession) EngineImages(context.Context) ([]string, error) {
	return []string{"hello:1", "my-app:dev", "other.example/tool:2"}, s.isDown()
}

func (s *fakeSession) Addons(context.Context) ([]cluster.AddonStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(slices.Clone(s.snapshot.Addons), s.disabled...), s.down
}

func (s *fakeSession) Operate(ctx context.Context, args []string, f func(cluster.Event)) error {
	s.update(func() { s.operated = append(s.operated, args) })
	if s.operation == nil {
		return nil
	}
	return s.operation(ctx, args, f)
}

func (s *fakeSession) Types(context.Context) ([]kube.ResourceType, error) { return s.types, s.isDown() }

// WatchRows sends everything again after each change; the batches say what differs from the time before.
func (s *fakeSession) WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error {
	known := map[string]string{}
	first := true
	return s.follow(ctx, func() error {
		s.mu.Lock()
		rows, columns := slices.Clone(s.rows[q.Type.Resource]), s.columns[q.Type.Resource]
		s.mu.Unlock()
		b := kube.RowBatch{Reset: first, Synced: true, Columns: columns}
		now := map[string]string{}
		for _, r := range rows {
			if q.Namespace != "" && r.Namespace != q.Namespace {
				continue
			}
			r.Cells = slices.Clone(r.Cells)
			now[r.UID] = fmt.Sprint(r)
			if known[r.UID] != now[r.UID] {
				b.Set = append(b.Set, r)
			}
		}
		for id := range known {
			if _, ok := now[id]; !ok {
				b.Delete = append(b.Delete, id)
			}
		}
		first, known = false, now
		return f(b)
	})
}

func (s *fakeSession) YAML(_ context.Context, ref kube.Ref) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if text, ok := s.yaml[ref.Namespace+"/"+ref.Name]; ok {
		return text, nil
	}
	return "kind: " + ref.Type.Kind + "\nmetadata:\n  name: " + ref.Name + "\n", s.down
}

func (s *fakeSession) Describe(_ context.Context, ref kube.Ref) (string, error) {
	return "Name:  " + ref.Name + "\nKind:  " + ref.Type.Kind + "\n", s.isDown()
}

// History is what has happened to every object; the status says whether that was asked for.
func (s *fakeSession) History(_ context.Context, ref kube.Ref, status bool) (cluster.History, error) {
	s.mu.Lock()
	answer := s.history
	s.mu.Unlock()
	if answer != nil {
		return answer()
	}
	h := cluster.History{Begun: fakeNow.Add(-26 * time.Hour), Changes: []cluster.Change{
		{Time: fakeNow.Add(-30 * time.Second), Change: cluster.ChangeUpdated, Who: "kubectl set image", User: "jane", Fields: []cluster.FieldChange{
			{Path: "spec.containers[cart].image", Before: json.RawMessage(`"cart:1.4.1"`), After: json.RawMessage(`"cart:1.4.2"`)},
			{Path: "spec.paused", Before: json.RawMessage("true")}, {Path: "metadata.labels.a", After: json.RawMessage(`"b"`)},
		}},
		{Time: fakeNow.Add(-25 * time.Hour), Change: cluster.ChangeCreated, Who: "kube-controller-manager (replicaset-controller)", User: "system:serviceaccount:x:y"},
	}}
	if status {
		h.Changes = append([]cluster.Change{{Time: fakeNow, Change: cluster.ChangeUpdated, Manager: "kubelet", Fields: []cluster.FieldChange{
			{Path: "status.phase", Before: json.RawMessage(`"Pending"`), After: json.RawMessage(`"Running"`)},
		}}}, h.Changes...)
	}
	return h, s.isDown()
}

func (s *fakeSession) Pod(_ context.Context, namespace, name string) (kube.PodDetail, error) {
	d := kube.PodDetail{
		Ref: kube.Ref{Type: kube.PodType(), Namespace: namespace, Name: name, UID: "u-" + name}, Node: "dev-2", IP: "10.244.2.9", QoS: "Burstable",
		Owners: []kube.Object{{Kind: "ReplicaSet", Name: "cart-7d9f4"}, {Kind: "Deployment", Name: "cart"}}, DNSPolicy: "ClusterFirst",
		Conditions: []kube.Condition{{Type: "Ready", Status: "False", Reason: "ContainersNotReady"}},
		Containers: []kube.ContainerDetail{{
			Name: "cart", Image: "cart:1.4.2", Restarts: 4, State: kube.ContainerState{Phase: kube.ContainerWaiting, Reason: "CrashLoopBackOff"},
			LastState: kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 1, Reason: "Error", Finished: fakeNow.Add(-40 * time.Second)},
			Env: []kube.EnvVar{
				{Name: "REDIS_HOST", Value: "redis.defualt.svc"},
				{Name: "PASSWORD", From: kube.EnvSource{Kind: kube.EnvSecret, Name: "cart", Key: "password"}},
			},
			Ports: []kube.ContainerPort{{Port: 8080, Protocol: "TCP"}}, Mounts: []kube.Mount{{Path: "/data", Volume: "cart-data"}},
			Requests: map[string]string{"cpu": "100m", "memory": "64Mi"}, Limits: map[string]string{"memory": "128Mi"},
		}},
	}
	if s.containers != nil {
		d.Containers = s.containers
	}
	return d, s.isDown()
}

func (s *fakeSession) Events(ctx context.Context, f func([]kube.EventLine) error) error {
	sent := 0
	return s.follow(ctx, func() error {
		s.mu.Lock()
		fresh := slices.Clone(s.events[sent:])
		sent = len(s.events)
		s.mu.Unlock()
		return f(fresh)
	})
}

func (s *fakeSession) Services(ctx context.Context, f func([]kube.ServiceLine) error) error {
	return s.follow(ctx, func() error {
		s.mu.Lock()
		v := slices.Clone(s.services)
		s.mu.Unlock()
		return f(v)
	})
}

func (s *fakeSession) Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error {
	b, ok := s.births[namespace+"/"+name]
	if !ok {
		return fault.Newf(fault.NotRunning, "nothing is known of %s/%s", namespace, name)
	}
	return f(b)
}

func (s *fakeSession) PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error {
	s.mu.Lock()
	s.queried = append(s.queried, q)
	s.mu.Unlock()
	sent := 0
	tell := func() error {
		s.mu.Lock()
		fresh := slices.Clone(s.logs[sent:])
		sent = len(s.logs)
		s.mu.Unlock()
		fresh = slices.DeleteFunc(fresh, func(l kube.LogLine) bool {
			return len(q.Pods) > 0 && !slices.Contains(q.Pods, l.Source.Pod)
		})
		return f(fresh)
	}
	if !q.Follow {
		return tell()
	}
	return s.follow(ctx, tell)
}

// askedLogs is the newest question for logs.
func (s *fakeSession) askedLogs() kube.LogQuery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queried) == 0 {
		return kube.LogQuery{}
	}
	return s.queried[len(s.queried)-1]
}

func (s *fakeSession) ComponentLogs(ctx context.Context, node, component string, _ int, f func([]kube.LogLine) error) error {
	at := fakeNow
	for _, c := range component { // no two at the same time: there is one order
		at = at.Add(-time.Duration(c) * time.Millisecond)
	}
	if err := f([]kube.LogLine{{Time: at, Source: kube.LogSource{Node: node, Container: component}, Text: "a line of " + component}}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *fakeSession) DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error {
	watching()
	sent := 0
	return s.follow(ctx, func() error {
		s.mu.Lock()
		fresh := slices.Clone(s.queries[sent:])
		sent = len(s.queries)
		s.mu.Unlock()
		for _, q := range fresh {
			if err := f(q); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *fakeSession) DNSStatus(context.Context) ([]cluster.DNSStatus, error) {
	return []cluster.DNSStatus{{
		Node: "dev-1", Phase: cluster.PhaseRunning, Since: fakeNow.Add(-12 * time.Minute), Domain: "cluster.local",
		Records: cluster.DNSRecords{Services: 12, Endpoints: 31, Namespaces: 5}, Cache: cluster.DNSCache{Entries: 40, Capacity: 10000, Hits: 63, Misses: 37},
		Upstreams: []cluster.DNSUpstream{{Zone: ".", Address: "127.0.0.11:53", Phase: cluster.PhaseRunning, Queries: 100, Latency: 14 * time.Millisecond}},
		Queries:   map[string]uint64{"NOERROR": 700, "NXDOMAIN": 290},
	}}, s.isDown()
}

func (s *fakeSession) DNSLookup(_ context.Context, name, kind, _ string) (cluster.DNSLookupResult, error) {
	return cluster.DNSLookupResult{Node: "dev-1", Steps: []cluster.DNSStep{{Name: name, Type: kind, Rcode: "NXDOMAIN", Source: cluster.DNSFromCluster, Rule: "there is no namespace defualt", Took: 210 * time.Microsecond}}}, s.isDown()
}

func (s *fakeSession) Exec(_ context.Context, e kube.Exec) (int, error) {
	s.update(func() { s.executed = append(s.executed, e) })
	if s.fail != nil {
		return 0, s.fail
	}
	_, err := io.WriteString(e.Stdout, "hello from "+e.Pod+e.Node+"\n")
	return 0, err
}

func (s *fakeSession) Forward(ctx context.Context, spec kube.ForwardSpec, f func(kube.ForwardState)) error {
	s.update(func() { s.forwarded = append(s.forwarded, spec) })
	if spec.Local != 0 && slices.Contains(s.taken, spec.Local) {
		return fault.New(fault.Conflict, fmt.Sprintf("listen on port %d", spec.Local), errors.New("address already in use")).Advise("choose another port")
	}
	local := spec.Local
	if local == 0 {
		local = 40123
	}
	// What is behind it says its state.
	err := s.follow(ctx, func() error {
		s.mu.Lock()
		state := kube.ForwardState{Local: local, Pod: "shop/web-9cc6f-lm2", Connections: 1, Bytes: 48 << 10, Reason: s.broken}
		s.mu.Unlock()
		if state.Reason != "" {
			state.Pod = ""
		}
		f(state)
		return nil
	})
	s.update(func() { s.unforwarded++ })
	return err
}

func (s *fakeSession) Do(_ context.Context, a kube.Action, report func(string)) error {
	report("at work")
	s.update(func() { s.done = append(s.done, a) })
	return s.fail
}

func (s *fakeSession) Replace(_ context.Context, ref kube.Ref, yaml string) error {
	s.update(func() { s.replaced = append(s.replaced, yaml) })
	if s.replace != nil {
		return s.replace(ref, yaml)
	}
	return s.fail
}

// lockedReplace has replace run with the session to itself.
func (s *fakeSession) lockedReplace() {
	replace := s.replace
	s.replace = func(ref kube.Ref, yaml string) (err error) {
		s.update(func() { err = replace(ref, yaml) })
		return err
	}
}

// objectOf reads "Kind/name".
func objectOf(text string) kube.Object {
	kind, name, _ := strings.Cut(text, "/")
	return kube.Object{Kind: kind, Name: name}
}

// shop is the broken shop of the tests: three nodes, a crash loop because of a mistyped name, and a pod that asks for more
// memory than any node has.
func shop() *fakeSession {
	ago := func(d time.Duration) time.Time { return fakeNow.Add(-d) }
	s := &fakeSession{
		changed: make(chan struct{}), rows: map[string][]kube.Row{}, columns: map[string][]kube.Column{}, births: map[string]cluster.Birth{}, yaml: map[string]string{},
		types: []kube.ResourceType{
			kube.PodType(), kube.NodeType(),
			{Version: "v1", Resource: "namespaces", Kind: "Namespace", Short: []string{"ns"}},
			{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true, Short: []string{"svc"}},
			{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true, Short: []string{"deploy"}},
			{Group: "shop.example", Version: "v1", Resource: "carts", Kind: "Cart", Namespaced: true},
		},
	}
	part := func(name string, phase cluster.Phase) cluster.Component {
		return cluster.Component{Name: name, Phase: phase, Since: ago(12 * time.Minute), PID: 4711}
	}
	s.snapshot = cluster.Snapshot{
		Name: "dev", Phase: cluster.PhaseRunning, Time: fakeNow, KubernetesVersion: "v1.37.2", APIServer: cluster.PhaseRunning, Server: "https://127.0.0.1:6443", Kubeconfig: "Configured",
		Components: []cluster.Component{
			part("etcd", cluster.PhaseRunning), part("kube-apiserver", cluster.PhaseRunning),
			part("kube-controller-manager", cluster.PhaseRunning), part("kube-scheduler", cluster.PhaseRunning),
		},
		Addons: []cluster.AddonStatus{
			{AddonDescription: cluster.AddonDescription{Name: "dns", Version: "1.0", Maintainer: "bonsai", Description: "cluster DNS on every node", Delivery: cluster.DeliveryBuiltin, Default: true, Offline: true}, Enabled: true, State: cluster.AddonRunning, Since: ago(12 * time.Minute)},
			{AddonDescription: cluster.AddonDescription{Name: "storage-provisioner", Version: "1.0", Maintainer: "bonsai", Description: "volumes on the nodes' disks", Delivery: cluster.DeliveryBuiltin, Default: true, Offline: true}, Enabled: true, State: cluster.AddonDegraded, Reason: "2 of 3 nodes answer", Advice: []cluster.Advice{cluster.Advise("", cluster.Bonsai("addons", "status").On("storage-provisioner"))}, Since: ago(time.Minute)},
		},
		Problems: []cluster.Problem{
			{Kind: "CrashLoop", Severity: cluster.SeverityError, Object: "pod/shop/cart-7d9f4-x2k", Summary: "crash loop, 4 restarts", Cause: "asks DNS for redis.defualt.svc: no such name; meant redis.default.svc?", Advice: []cluster.Advice{cluster.Advise("", cluster.Kubectl("edit", "deployment").On("cart").In("shop").Change())}, Evidence: []string{"ERROR lookup redis.defualt.svc: no such host"}},
			{Kind: "Unschedulable", Severity: cluster.SeverityWarning, Object: "pod/shop/db-0", Summary: "pending for 2m", Cause: "it requests 4Gi of memory; the node with the most, dev-2, has 2.6Gi", Advice: []cluster.Advice{cluster.Advise("reduce its resources.requests, or stop something else")}},
		},
		LastStart: &cluster.Timeline{Operation: "start", Started: ago(12 * time.Minute), Total: 2900 * time.Millisecond},
	}
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("dev-%d", i)
		s.snapshot.Nodes = append(s.snapshot.Nodes, cluster.NodeStatus{
			Name: name, IP: fmt.Sprintf("10.201.0.%d", 9+i), Role: "worker", Host: cluster.PhaseRunning, Kubelet: cluster.PhaseRunning, Ready: true, DNS: cluster.PhaseRunning, Heartbeat: ago(3 * time.Second),
			Components: []cluster.Component{part("bonsai-agent", cluster.PhaseRunning), part("containerd", cluster.PhaseRunning), part("kubelet", cluster.PhaseRunning), part("kube-proxy", cluster.PhaseRunning)},
		})
		s.rows["nodes"] = append(s.rows["nodes"], kube.Row{UID: "n" + name, Name: name, Created: ago(12 * time.Minute), Cells: []string{name, "Ready", "worker", "12m", "v1.37.2"}})
		s.load.Nodes = append(s.load.Nodes, cluster.NodeUsage{Node: name, Time: fakeNow, CPU: 0.1 + 0.3*float64(i), CPUs: 8, Memory: uint64(i) << 30, MemoryLimit: 12 << 30})
	}
	s.columns["nodes"] = []kube.Column{{Name: "Name"}, {Name: "Status"}, {Name: "Roles"}, {Name: "Age"}, {Name: "Version"}}
	s.columns["pods"] = []kube.Column{
		{Name: "Name"}, {Name: "Ready"}, {Name: "Status"}, {Name: "Restarts", Numeric: true}, {Name: "Age"}, {Name: "IP", Wide: true}, {Name: "Node", Wide: true},
	}
	pod := func(ns, name, ready, status, restarts, node string, age time.Duration, owner string) {
		s.rows["pods"] = append(s.rows["pods"], kube.Row{
			UID: "u-" + name, Namespace: ns, Name: name, Created: ago(age), Owner: objectOf(owner), Labels: map[string]string{"app": strings.SplitN(name, "-", 2)[0]},
			Cells: []string{name, ready, status, restarts, "", "10.244.1.9", node},
		})
	}
	pod("shop", "cart-7d9f4-x2k", "0/1", "CrashLoopBackOff", "4", "dev-2", 6*time.Minute, "ReplicaSet/cart-7d9f4")
	pod("shop", "db-0", "0/1", "Pending", "0", "<none>", 2*time.Minute, "StatefulSet/db")
	pod("shop", "web-9cc6f-lm2", "2/2", "Running", "0", "dev-1", 12*time.Minute, "ReplicaSet/web-9cc6f")
	pod("shop", "web-9cc6f-x4v", "2/2", "Running", "0", "dev-3", 12*time.Minute, "ReplicaSet/web-9cc6f")
	pod("shop", "seed-data-8d2ls", "0/1", "Completed", "0", "dev-1", 12*time.Minute, "Job/seed-data")
	pod("ingress", "proxy-4xkd2", "1/1", "Running", "0", "dev-1", 11*time.Minute, "DaemonSet/proxy")
	pod("ingress", "proxy-9dls3", "0/1", "ContainerCreating", "0", "dev-2", 4*time.Second, "DaemonSet/proxy")
	pod("default", "购物车-漢字", "1/1", "Running", "0", "dev-3", 3*time.Hour, "")
	for i, p := range s.rows["pods"] {
		if strings.HasPrefix(p.Cells[2], "Run") {
			n := &s.load.Nodes[i%3]
			n.Pods = append(n.Pods, cluster.PodUsage{UID: p.UID, CPU: 0.038, Memory: 84 << 20})
		}
	}
	s.columns["carts"] = []kube.Column{{Name: "Name"}, {Name: "Phase"}, {Name: "Items", Numeric: true}, {Name: "Age"}}
	s.rows["carts"] = []kube.Row{{UID: "c1", Namespace: "shop", Name: "alice", Created: ago(time.Hour), Cells: []string{"alice", "Ready", "3", "60m"}}}
	s.columns["namespaces"] = []kube.Column{{Name: "Name"}, {Name: "Status"}, {Name: "Age"}}
	for _, ns := range []string{"default", "ingress", "kube-system", "shop"} {
		s.rows["namespaces"] = append(s.rows["namespaces"], kube.Row{UID: "ns-" + ns, Name: ns, Created: ago(12 * time.Minute), Cells: []string{ns, "Active", ""}})
	}
	s.columns["deployments"] = []kube.Column{{Name: "Name"}, {Name: "Ready"}, {Name: "Up-to-date", Numeric: true}, {Name: "Available", Numeric: true}, {Name: "Age"}}
	s.rows["deployments"] = []kube.Row{
		{UID: "d-cart", Namespace: "shop", Name: "cart", Created: ago(12 * time.Minute), Cells: []string{"cart", "0/1", "1", "0", ""}},
		{UID: "d-web", Namespace: "shop", Name: "web", Created: ago(12 * time.Minute), Cells: []string{"web", "2/2", "2", "2", ""}},
	}
	s.ports = []cluster.PortStatus{
		{Port: cluster.Port{Address: netip.MustParseAddr("127.0.0.1"), Port: 8081, Protocol: cluster.TCP, Service: "shop/web", Target: 80}, Open: true, Connections: 2, Served: 41},
		{Port: cluster.Port{Address: netip.MustParseAddr("0.0.0.0"), Port: 5353, Protocol: cluster.UDP, Target: 30053}, Reason: "address already in use"},
	}
	image := func(name string, loaded bool) cluster.NodeImage {
		return cluster.NodeImage{Name: name, Target: "sha256:0a1b2c", Loaded: loaded, Updated: ago(3 * time.Minute)}
	}
	s.images = map[string][]cluster.NodeImage{
		"dev-1": {image("docker.io/library/hello:1", true), image("docker.io/library/cart:1.4.2", true), image("registry.k8s.io/pause:3.10", false)},
		"dev-2": {image("docker.io/library/hello:1", true), image("docker.io/library/cart:1.4.2", true), image("registry.k8s.io/pause:3.10", false)},
		"dev-3": {image("docker.io/library/hello:1", true), image("registry.k8s.io/pause:3.10", false), image("docker.io/library/redis:8", false)},
	}
	s.load.Time = fakeNow
	s.load.ControlPlane = cluster.ControlPlaneLoad{
		CPU: 0.12, Memory: 312 << 20, Watches: 212, Inflight: 2, DBSize: 18 << 20, FsyncP99: 2 * time.Millisecond, Controllers: 38,
		Objects: map[string]int{"pods": 8, "events": 40}, Pending: map[string]int{"active": 0, "unschedulable": 1}, Queues: map[string]int{"deployment": 0},
		Links: []cluster.Link{
			{From: "clients", To: "kube-apiserver", Rate: 4, P50: time.Millisecond, P99: 9 * time.Millisecond},
			{From: "kubelet", To: "kube-apiserver", Rate: 12, P50: time.Millisecond, P99: 8 * time.Millisecond},
			{From: "kube-scheduler", To: "kube-apiserver", Rate: 2.4, P50: time.Millisecond, P99: 4 * time.Millisecond},
			{From: "kube-controller-manager", To: "kube-apiserver", Rate: 9, P50: time.Millisecond, P99: 7 * time.Millisecond},
			{From: "kube-apiserver", To: "etcd", Rate: 31, P50: time.Millisecond, P99: 3 * time.Millisecond},
		},
	}
	s.events = []kube.EventLine{
		{UID: "e1", Time: ago(30 * time.Second), Reason: "Pulled", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: "web-9cc6f-lm2"}, Message: "image is present", Count: 1, Source: "kubelet"},
		{UID: "e2", Time: ago(20 * time.Second), Warning: true, Reason: "FailedScheduling", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: "db-0"}, Message: "0/3 nodes are available: 3 Insufficient memory.", Count: 9, Source: "default-scheduler"},
		{UID: "e3", Time: ago(2 * time.Second), Warning: true, Reason: "BackOff", Namespace: "shop", Object: kube.Object{Kind: "Pod", Name: "cart-7d9f4-x2k"}, Message: "Back-off restarting failed container cart", Count: 4, Source: "kubelet"},
	}
	s.services = []kube.ServiceLine{
		{UID: "s1", Namespace: "default", Name: "kubernetes", Kind: "ClusterIP", ClusterIP: "10.96.0.1", Ports: []kube.ServicePort{{Port: 443, Target: "6443", Protocol: "TCP"}}, Ready: 1, Total: 1, Reachable: []kube.Address{{Address: "kubernetes.default.svc"}}, Created: ago(12 * time.Minute)},
		{UID: "s2", Namespace: "shop", Name: "web", Kind: "NodePort", ClusterIP: "10.96.71.4", Ports: []kube.ServicePort{{Port: 80, Target: "8080", Protocol: "TCP"}}, Ready: 2, Total: 2, Reachable: []kube.Address{{Address: "web.shop.svc"}, {Address: "10.201.0.10:30080"}}, Created: ago(12 * time.Minute)},
		{UID: "s3", Namespace: "shop", Name: "cart", Kind: "ClusterIP", ClusterIP: "10.96.8.1", Ports: []kube.ServicePort{{Port: 80, Target: "8080", Protocol: "TCP"}}, Ready: 0, Total: 1, Created: ago(12 * time.Minute)},
	}
	log := func(at time.Duration, pod, text string) {
		container, _, _ := strings.Cut(pod, "-")
		s.logs = append(s.logs, kube.LogLine{Time: ago(at), Source: kube.LogSource{Namespace: "shop", Pod: pod, Container: container}, Text: text})
	}
	log(4*time.Second, "cart-7d9f4-x2k", "INFO  starting cart 1.4.2")
	log(3*time.Second, "cart-7d9f4-x2k", "ERROR lookup redis.defualt.svc on 10.96.0.10:53: no such host")
	s.logs = append(s.logs, kube.LogLine{Time: ago(3 * time.Second), Source: s.logs[0].Source, Marker: &kube.LogMarker{
		Kind: kube.LogRestarted, Count: 4, End: kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 1, Started: ago(4 * time.Second), Finished: ago(4 * time.Second)},
	}})
	log(2*time.Second, "web-9cc6f-lm2", `{"level":"warn","msg":"upstream gone","peer":"cart","ts":1773489869}`)
	log(time.Second, "web-9cc6f-lm2", "GET /\x1b]0;owned\x07 200")
	query := func(at time.Duration, pod, name, rcode string, took time.Duration, source cluster.DNSSource, tries []string, answers ...string) {
		s.queries = append(s.queries, cluster.DNSQuery{Time: ago(at), Node: "dev-2", Pod: pod, Proto: "udp", Type: "A", Name: name, Rcode: rcode, Took: took, Source: source, Tries: tries, Answers: answers, Count: len(answers)})
	}
	query(3*time.Second, "shop/web-9cc6f-lm2", "api.stripe.com.", "NOERROR", 14*time.Millisecond, cluster.DNSFromForward, []string{"api.stripe.com.shop.svc.cluster.local."}, "3.5.1.8")
	query(2*time.Second, "shop/web-9cc6f-lm2", "redis.default.svc.cluster.local.", "NOERROR", 100*time.Microsecond, cluster.DNSFromCluster, nil, "10.96.71.4")
	query(time.Second, "shop/cart-7d9f4-x2k", "redis.defualt.svc.", "NXDOMAIN", 200*time.Microsecond, cluster.DNSFromCluster, []string{"redis.defualt.svc.shop.svc.cluster.local.", "redis.defualt.svc.svc.cluster.local.", "redis.defualt.svc.cluster.local."})
	s.births["shop/web-9cc6f-lm2"] = cluster.Birth{
		Namespace: "shop", Name: "web-9cc6f-lm2", UID: "u-web-9cc6f-lm2", Started: ago(12 * time.Minute), Ready: true,
		Steps: []cluster.BirthStep{
			{Step: "api", Who: "kube-controller-manager", Begin: 0, End: 6 * time.Millisecond, Exact: true},
			{Step: "etcd", Who: "etcd", Begin: 2 * time.Millisecond, End: 5 * time.Millisecond, Exact: true},
			{Step: "schedule", Who: "kube-scheduler", Begin: 8 * time.Millisecond, End: 11 * time.Millisecond, Exact: true, Detail: "dev-1 of 2 possible nodes"},
			{Step: "sandbox", Who: "containerd on dev-1", Begin: 60 * time.Millisecond, End: 240 * time.Millisecond, Exact: true},
			{Step: "start/web", Who: "containerd on dev-1", Begin: 250 * time.Millisecond, End: 410 * time.Millisecond, Exact: true},
			{Step: "ready", Who: "kubelet on dev-1", Begin: 410 * time.Millisecond, End: 520 * time.Millisecond, Exact: true},
		},
		Scheduling: &cluster.Decision{Time: ago(12 * time.Minute), Node: "dev-1", Took: 3 * time.Millisecond, Verdicts: []cluster.NodeVerdict{
			{Node: "dev-1", Total: 292, Scores: map[string]int64{"NodeResourcesFit": 92, "ImageLocality": 100, "TaintToleration": 100}},
			{Node: "dev-2", Total: 250, Scores: map[string]int64{"NodeResourcesFit": 90, "ImageLocality": 60, "TaintToleration": 100}},
			{Node: "dev-3", Rejected: []string{"node(s) were unschedulable"}, Plugin: "NodeUnschedulable"},
		}},
	}
	return s
}

// healthy is the shop with nothing wrong.
func healthy() *fakeSession {
	s := shop()
	s.snapshot.Problems = nil
	s.snapshot.Addons[1].State, s.snapshot.Addons[1].Reason = cluster.AddonRunning, ""
	s.rows["pods"] = slices.DeleteFunc(s.rows["pods"], func(r kube.Row) bool { return r.Cells[2] != "Running" && r.Cells[2] != "Completed" })
	s.events = s.events[:1]
	s.queries = s.queries[1:2]
	return s
}
