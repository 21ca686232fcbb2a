package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
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
	flows  cluster.Flows
	// access are the lines of the gateway's access log, by node. A node without any has no such log.
	access map[string][]string
	way    cluster.Why
	walked []cluster.WhyQuestion
	// checkpoints are those of the cluster; checks is what Doctor sees, and fixes how often it repaired.
	checkpoints []cluster.Checkpoint
	checks      []cluster.Check
	fixes       int
	// disabled are addons beside those of the snapshot.
	disabled []cluster.AddonStatus
	// history, if set, is what History answers.
	history func() (cluster.History, error)
	// revert, if set, is what Revert answers; reverted what it was asked for, but for dry runs.
	revert   func(dryRun bool) (cluster.Reverted, error)
	reverted []string
	// preview, if set, is what Preview answers; revealed how often values of Secrets were asked for.
	preview  func(kube.Action) (kube.Difference, error)
	revealed int
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

func (s *fakeSession) Why(_ context.Context, q cluster.WhyQuestion) (way cluster.Why, err error) {
	s.update(func() { s.walked = append(s.walked, q); way = s.way })
	return way, s.isDown()
}

func (s *fakeSession) Flows(ctx context.Context, f func(cluster.Flows) error) error {
	return s.follow(ctx, func() error {
		s.mu.Lock()
		v := s.flows
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

func (s *fakeSession) Checkpoints(context.Context) ([]cluster.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.checkpoints), s.down
}

func (s *fakeSession) Doctor(_ context.Context, fix bool) ([]cluster.Check, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.checks)
	if fix {
		s.fixes++
		for i := range list {
			if list[i].ID == "state-folder" {
				list[i] = cluster.Check{ID: "state-folder", Title: "State folder", State: cluster.CheckOK, Detail: "/home/jane/.bonsai", Fixed: []string{"made /home/jane/.bonsai private"}}
			}
		}
	}
	return list, nil
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
		{Revision: 41, Time: fakeNow.Add(-30 * time.Second), Change: cluster.ChangeUpdated, Who: "kubectl set image", User: "jane", Fields: []cluster.FieldChange{
			{Path: "spec.containers[cart].image", Before: json.RawMessage(`"cart:1.4.1"`), After: json.RawMessage(`"cart:1.4.2"`)},
			{Path: "spec.paused", Before: json.RawMessage("true")}, {Path: "metadata.labels.a", After: json.RawMessage(`"b"`)},
		}},
		{Revision: 40, Time: fakeNow.Add(-25 * time.Hour), Change: cluster.ChangeCreated, Who: "kube-controller-manager (replicaset-controller)", User: "system:serviceaccount:x:y"},
	}}
	if status {
		h.Changes = append([]cluster.Change{{Revision: 42, Time: fakeNow, Change: cluster.ChangeUpdated, Manager: "kubelet", Fields: []cluster.FieldChange{
			{Path: "status.phase", Before: json.RawMessage(`"Pending"`), After: json.RawMessage(`"Running"`)},
		}}}, h.Changes...)
	}
	return h, s.isDown()
}

func (s *fakeSession) Revert(_ context.Context, ref kube.Ref, revision int64, dryRun bool) (cluster.Reverted, error) {
	s.mu.Lock()
	answer := s.revert
	s.mu.Unlock()
	if !dryRun {
		s.update(func() {
			s.reverted = append(s.reverted, fmt.Sprintf("%s.%s/%s/%s@%d", ref.Type.Resource, ref.Type.Group, ref.Namespace, ref.Name, revision))
		})
	}
	if answer != nil {
		return answer(dryRun)
	}
	return cluster.Reverted{Change: cluster.ChangeUpdated, At: fakeNow.Add(-time.Hour), Fields: []cluster.FieldChange{
		{Path: "spec.replicas", Before: json.RawMessage("3"), After: json.RawMessage("2")},
		{Path: "metadata.labels.team", Before: json.RawMessage(`"shop"`)},
	}}, s.isDown()
}

func (s *fakeSession) Pod(_ context.Context, namespace, name string) (kube.PodDetail, error) {
	d := kube.PodDetail{
		Ref: kube.Ref{Type: kube.PodType(), Namespace: namespace, Name: name, UID: "u-" + name}, Node: "dev-2", IP: "10.244.2.9", QoS: "Burstable",
		Owners: []kube.Object{{Kind: "ReplicaSet", Name: "cart-7d9f4"}, {Kind: "Deployment", Name: "cart"}}, DNSPolicy: "ClusterFirst",
		Conditions: []kube.Condition{{Type: "Ready", Status: "False", Reason: "ContainersNotReady"}},
		Containers: []kube.ContainerDetail{{
			Name: "cart", Image: "cart:1.4.2", Restarts: 4, State: kube.ContainerState{Phase: kube.ContainerWaiting, Reason: "CrashLoopBackOff"},
			LastState: kube.ContainerState{Phase: kube.ContainerTerminated, ExitCode: 1, Reason: "Error", Finished: fakeNow.Add(-40 * time.Second)},
			Ports:     []kube.ContainerPort{{Port: 8080, Protocol: "TCP"}}, Mounts: []kube.Mount{{Path: "/data", Volume: "cart-data"}},
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
	if component == cluster.GatewayAddon {
		return s.gatewayLog(ctx, node, f)
	}
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
