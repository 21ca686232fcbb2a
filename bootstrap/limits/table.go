package limits

import (
	"regexp"
	"slices"
)

// Name is a limit's stable name.
type Name string

// The limits that are known.
const (
	InotifyInstances Name = "inotify-instances"
	InotifyWatches   Name = "inotify-watches"
	OpenFiles        Name = "open-files"
	Threads          Name = "threads"
	ProcessIDs       Name = "process-ids"
	EnginePIDs       Name = "engine-pids"
	Connections      Name = "connections"
	AsyncIO          Name = "async-io"
	Keys             Name = "keys"
	LoopDevices      Name = "loop-devices"
	Disk             Name = "disk"
	DescriptorsEach  Name = "descriptors"
)

// Cost is how much of a limit something takes.
type Cost struct {
	// ControlPlane is what a cluster's daemon takes, Node what a node takes before it has pods, Pod what a pod with one
	// container adds, on cgroup v1 and on v2.
	ControlPlane, Node, Pod, PodV2 int64
}

// Limit is one limit of a machine that all nodes share, with each other and with everything else.
type Limit struct {
	Name Name
	// Noun is what is counted, in the plural.
	Noun string
	// Setting is the sysctl that raises it, and Value a generous one; "" and 0 if there is none.
	Setting string
	Value   int64
	Cost    Cost
	// full marks the limits of which a start warns only when they are nearly used up: nodes take hardly anything of them,
	// but pods may.
	full bool
	// spare is what others may take meanwhile, and what must be left for what is not counted.
	spare int64
	// signs are how programs report that it is reached.
	signs *regexp.Regexp
}

// The costs were measured on nodes of this version, on a machine with cgroup v1 (docs/limits.md says how): what
// /proc/PID/fd and fdinfo list, and the threads in /proc/PID/task. On cgroup v2 containerd watches for each container
// whether its memory runs out, with one instance and two watches (pkg github.com/containerd/cgroups/v3/cgroup2, and
// internal/oom of containerd), and a pod with one container has two, while cAdvisor watches one hierarchy instead of a
// dozen.
//
// The order matters to Recognize: what is more specific comes first.
var table = []Limit{
	{
		// Kubelet 7 (cAdvisor, plugins, certificates, kube-proxy's settings), containerd 2; the control plane watches each
		// of its certificates. Upstream has no switches for them.
		Name: InotifyInstances, Noun: "inotify instances", Setting: "fs.inotify.max_user_instances", Value: 8192,
		Cost:  Cost{ControlPlane: 12, Node: 9, Pod: 0, PodV2: 2},
		spare: 16, // each followed log of a pod takes one; without any, a kubelet runs with parts of it missing
		signs: regexp.MustCompile(`(?i)(inotify|fsnotify|watcher|\bwatch)[^\n]*too many open files|too many open files[^\n]*(inotify|fsnotify|watcher)|max_user_instances`),
	},
	{
		Name: InotifyWatches, Noun: "inotify watches", Setting: "fs.inotify.max_user_watches", Value: 524288,
		Cost:  Cost{ControlPlane: 18, Node: 40, Pod: 20, PodV2: 8},
		signs: regexp.MustCompile(`(?i)(inotify|fsnotify|watcher|\bwatch(es|ing)?\b)[^\n]*no space left on device|max_user_watches|system limit for number of file watchers reached`),
	},
	{
		Name: OpenFiles, Noun: "open files", Setting: "fs.file-max", Value: 2097152,
		Cost:  Cost{ControlPlane: 200, Node: 110, Pod: 45, PodV2: 50},
		signs: regexp.MustCompile(`(?i)too many open files in system`),
	},
	{
		Name: Threads, Noun: "threads", Setting: "kernel.threads-max", Value: 131072,
		Cost: Cost{ControlPlane: 15, Node: 45, Pod: 17, PodV2: 17},
	},
	{
		Name: ProcessIDs, Noun: "process IDs", Setting: "kernel.pid_max", Value: 4194304,
		Cost:  Cost{ControlPlane: 15, Node: 45, Pod: 17, PodV2: 17},
		signs: regexp.MustCompile(`(?i)(fork|clone|newosproc|pthread_create|create (new )?(os )?thread)[^\n]*(resource temporarily unavailable|cannot allocate|errno=11|failed)|(cannot|can't|unable to) (fork|create (new )?(native )?thread)`),
	},
	{
		Name: EnginePIDs, Noun: "processes of the container engine",
		Cost: Cost{Node: 45, Pod: 17, PodV2: 17},
	},
	{
		// Each node has a table of its own, of the size of the machine's.
		Name: Connections, Noun: "tracked connections", Setting: "net.netfilter.nf_conntrack_max", Value: 262144,
		full:  true,
		signs: regexp.MustCompile(`nf_conntrack: table full|nf_conntrack_max`),
	},
	{
		Name: AsyncIO, Noun: "asynchronous I/O requests", Setting: "fs.aio-max-nr", Value: 1048576,
		full:  true,
		signs: regexp.MustCompile(`(?i)aio-max-nr|io_setup[^\n]*(EAGAIN|resource temporarily unavailable|failed)`),
	},
	{
		// runc gives each container a session keyring.
		Name: Keys, Noun: "kernel keys", Setting: "kernel.keys.root_maxkeys", Value: 1000000,
		Cost:  Cost{Node: 1, Pod: 2, PodV2: 2},
		signs: regexp.MustCompile(`(?i)(keyring|session key)[^\n]*disk quota exceeded`),
	},
	{
		Name: LoopDevices, Noun: "loop devices",
		signs: regexp.MustCompile(`(?i)(could not find|no)( any)? free loop device|failed to (set ?up|attach)[^\n]*loop device|cannot find an unused loop device`),
	},
	{
		// In bytes. Images and data of pods come on top.
		Name: Disk, Noun: "disk space of the container engine",
		Cost:  Cost{Node: 16 << 20},
		signs: regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`),
	},
	{
		Name: DescriptorsEach, Noun: "open files of one process",
		signs: regexp.MustCompile(`(?i)too many open files`),
	},
}

// Table lists all limits.
func Table() []Limit { return slices.Clone(table) }

// Of returns the limit of a name.
func Of(n Name) Limit {
	for _, l := range table {
		if l.Name == n {
			return l
		}
	}
	return Limit{Name: n}
}

// Recognize returns the limit that a program reports to have reached, by what it printed.
func Recognize(text string) (Limit, bool) {
	for _, l := range table {
		if l.signs != nil && l.signs.MatchString(text) {
			return l, true
		}
	}
	return Limit{}, false
}
