package cluster

import "time"

// Load is what a cluster is doing at one moment: how much its nodes and pods use, and how busy each part of the control
// plane is. It is measured only while a client watches, see LoadInterval.
type Load struct {
	Time         time.Time        `json:"time"`
	Nodes        []NodeUsage      `json:"nodes,omitempty"`
	ControlPlane ControlPlaneLoad `json:"controlPlane"`
}

// LoadInterval is the pause between two Loads of a stream.
const LoadInterval = time.Second

// NodeUsage is what one node uses, read from the cgroups of its container.
type NodeUsage struct {
	Node string `json:"node"`
	// Time is when the node was measured; it is older than that of the Load if the node has not answered since.
	Time time.Time `json:"time"`
	// CPU is in cores, averaged since the previous measurement; CPUs is what is available: the container's limit, or
	// the machine.
	CPU  float64 `json:"cpu"`
	CPUs float64 `json:"cpus"`
	// Memory is the working set: what is used minus file pages that can be dropped at once. MemoryLimit is what is
	// available.
	Memory      uint64 `json:"memory"`
	MemoryLimit uint64 `json:"memoryLimit"`
	// Disk is the file system that holds images, logs and volumes of the node; nodes usually share it.
	DiskUsed uint64     `json:"diskUsed,omitempty"`
	DiskSize uint64     `json:"diskSize,omitempty"`
	Pods     []PodUsage `json:"pods,omitempty"`
	// Reason says why the node could not be measured; then the rest is as old as Time.
	Reason string `json:"reason,omitempty"`
}

// PodUsage is what the containers of one pod use together. The node reports its UID; Namespace and Name come from the
// API, and are empty until the API has reported the pod.
type PodUsage struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`

	CPU    float64 `json:"cpu"`
	Memory uint64  `json:"memory"`
}

// NodeCounters holds the counters of one node at one moment, as its agent returns them. Two of them make a NodeUsage.
type NodeCounters struct {
	// Time is the node's clock, for people.
	Time time.Time `json:"time"`
	// Clock is the machine's monotonic clock, which is never set: the difference of two readings is the time between
	// them.
	Clock time.Duration `json:"clockNanos"`
	// CPU is what the container has used since its start.
	CPU time.Duration `json:"cpuNanos"`
	// CPUs is how many the container may use; see NodeUsage for this and what follows.
	CPUs        float64       `json:"cpus"`
	Memory      uint64        `json:"memory"`
	MemoryLimit uint64        `json:"memoryLimit"`
	DiskUsed    uint64        `json:"diskUsed"`
	DiskSize    uint64        `json:"diskSize"`
	Pods        []PodCounters `json:"pods"` // by UID
}

// PodCounters is the total of the containers of one pod, including the one that holds its network.
type PodCounters struct {
	UID    string        `json:"uid"`
	CPU    time.Duration `json:"cpuNanos"`
	Memory uint64        `json:"memory"`
}

// ControlPlaneLoad is read from the metrics of the control plane's own process. Rates are per second since the previous
// Load, latencies those of the same period; -1 means that nothing was measured.
type ControlPlaneLoad struct {
	// CPU (cores) and Memory (bytes of RSS) of the one process.
	CPU    float64 `json:"cpu"`
	Memory uint64  `json:"memory"`
	// Links are the arrows of the architecture: which component calls which, how often, how fast.
	Links []Link `json:"links,omitempty"`
	// Watches are open watch requests, Inflight other requests that are being served.
	Watches  int `json:"watches"`
	Inflight int `json:"inflight"`
	// Objects counts the objects in etcd by resource ("pods", "deployments.apps"), if there are any; DBSize is etcd's
	// file in bytes.
	Objects map[string]int `json:"objects,omitempty"`
	DBSize  int64          `json:"dbSize"`
	// FsyncP99 is the time to sync etcd's write-ahead log to disk.
	FsyncP99 time.Duration `json:"fsyncP99Nanos"`
	// Pending pods wait for the scheduler, by queue ("active", "backoff", "unschedulable", "gated").
	Pending map[string]int `json:"pending,omitempty"`
	// Controllers that run, and items that wait in queues of the control plane, by queue if there are any ("deployment").
	Controllers int            `json:"controllers"`
	Queues      map[string]int `json:"queues,omitempty"`
}

// Link is the traffic from one component to another since the previous Load.
type Link struct {
	// From and To are components: "kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd",
	// "clients" (kubectl and everything else).
	From string  `json:"from"`
	To   string  `json:"to"`
	Rate float64 `json:"rate"`
	// Errors are answers of 5xx, and 429, per second.
	Errors float64       `json:"errors,omitempty"`
	P50    time.Duration `json:"p50Nanos"`
	P99    time.Duration `json:"p99Nanos"`
}
