package tui

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

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
		checkpoints: []cluster.Checkpoint{
			{Name: "auto-20260314-115900-120", Created: ago(5 * time.Minute), Reason: "before checkpoint restore", StoreCopy: cluster.StoreCopy{Objects: 318}, KubernetesVersion: "1.37", FileBytes: 71 << 10},
			{
				Name: "before-migration", Created: ago(26 * time.Minute), StoreCopy: cluster.StoreCopy{Objects: 322}, KubernetesVersion: "1.37", FileBytes: 9 << 20,
				WithVolumes: true, Volumes: []cluster.VolumeCopy{{Place: 1, Node: "dev-2", Bytes: 48 << 20}},
			},
			{Name: "damaged", Created: ago(49 * time.Hour), Problem: "the checkpoint is damaged: the checksum of store.zst is wrong", FileBytes: 64 << 10},
		},
		checks: []cluster.Check{
			{ID: "engine", Title: "Container engine", State: cluster.CheckOK, Detail: "Docker 28.0.0 on this machine"},
			{ID: "limits", Title: "Limits", State: cluster.CheckError, Problems: []cluster.Problem{{
				Kind: "Limit", Severity: cluster.SeverityError, Summary: "inotify instances: 128 of 128 are in use", Cause: "programs of this user hold them",
				Advice: []cluster.Advice{cluster.Advise("raise the limit", cluster.Program("sudo", "sysctl", "-w", "fs.inotify.max_user_instances=8192").Change())},
			}}},
			{ID: "state-folder", Title: "State folder", State: cluster.CheckWarning, Problems: []cluster.Problem{{
				Kind: cluster.ProblemFolder, Severity: cluster.SeverityWarning, Summary: "others may look into /home/jane/.bonsai",
			}}},
			{ID: "clusters", Title: "Clusters", State: cluster.CheckWarning, Problems: []cluster.Problem{{
				Kind: "NotRunning", Severity: cluster.SeverityWarning, Summary: "a node does not run",
				Advice: []cluster.Advice{cluster.Advise("start it", cluster.Bonsai("node", "start").On("dev-3").Cure())},
			}}},
			{ID: "firewall", Title: "Firewall", State: cluster.CheckUnknown, Detail: "no cluster runs"},
		},
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
	end := func(name string) cluster.FlowEnd {
		return cluster.FlowEnd{Kind: cluster.FlowPod, Namespace: "shop", Name: name, Address: netip.MustParseAddr("10.244.1.9")}
	}
	s.flows = cluster.Flows{Time: fakeNow, Since: ago(time.Minute), Flows: []cluster.Flow{
		{From: end("web-9cc6f-lm2"), To: end("cart-7d9f4-x2k"), Node: "dev-1", Proto: "TCP", Port: 80, EndpointPort: 8080, Service: "shop/cart", Asked: "cart.shop.svc.cluster.local", New: 2, Failed: 2, Refused: 41, Opened: 41},
		{From: end("web-9cc6f-x4v"), To: end("db-0"), Node: "dev-3", Proto: "TCP", Port: 5432, Service: "shop/db", Asked: "db.shop.svc.cluster.local", Open: 8, Sent: 84 << 10, Received: 3 << 20},
		{From: end("web-9cc6f-x4v"), To: cluster.FlowEnd{Kind: cluster.FlowNode, Name: "dev-3"}, Node: "dev-3", Proto: "UDP", Port: 53, Service: "kube-system/kube-dns", New: 1.4, Sent: 120, Received: 300},
		{From: cluster.FlowEnd{Kind: cluster.FlowNode, Name: "dev-2"}, To: cluster.FlowEnd{Kind: cluster.FlowMachine}, Node: "dev-2", Proto: "TCP", Port: 6443, Open: 3, Sent: 900, Received: 800},
	}}
	s.way = cluster.Why{
		From: end("web-9cc6f-lm2"), To: "cart.shop.svc.cluster.local.", Address: netip.MustParseAddrPort("10.96.0.7:80"), Proto: "TCP", Ends: cluster.WhyIngress,
		Steps: []cluster.WhyStep{
			{Topic: cluster.WhySource, State: cluster.WhyOK, Saw: "pod shop/web-9cc6f-lm2 (10.244.1.9) on node dev-1"},
			{Topic: cluster.WhyName, State: cluster.WhyOK, Saw: "cart.shop.svc.cluster.local has the address 10.96.0.7"},
			{Topic: cluster.WhyService, State: cluster.WhyOK, Saw: "10.96.0.7 is that of Service shop/cart"},
			{Topic: cluster.WhyPort, State: cluster.WhyOK, Saw: "port 80 leads to port 8080 of its pods"},
			{Topic: cluster.WhyEndpoints, State: cluster.WhyOK, Saw: "1 pod is ready: cart-7d9f4-x2k"},
			{Topic: cluster.WhyEgress, State: cluster.WhyOK, Saw: "no policy for egress applies to pod shop/web-9cc6f-lm2"},
			{
				Topic: cluster.WhyIngress, State: cluster.WhyFailed, Saw: "NetworkPolicy shop/cart-only-api does not let it in", More: []string{"cart-only-api allows ingress from pods app=api"},
				Advice: []cluster.Advice{cluster.Advise("change it by hand", cluster.Kubectl("edit", "networkpolicy").On("cart-only-api").In("shop").Change())},
			},
			{Topic: cluster.WhyListener, State: cluster.WhyOK, Saw: "pod cart-7d9f4-x2k listens on 8080"},
			{Topic: cluster.WhyConnect, State: cluster.WhyFailed, Saw: "10.96.0.7:80 does not answer", Took: 2500 * time.Millisecond},
		},
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
