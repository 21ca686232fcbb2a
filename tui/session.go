package tui

import (
	"context"
	"io"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// Session is everything that the UI asks of the world, for one cluster. It is declared here and implemented elsewhere:
// the UI itself opens no connection and no file of a cluster.
//
// Every method blocks until it is done, its function argument fails, or ctx ends, and is called from goroutines that
// the UI waits for; they are safe for concurrent use. Function arguments are called one at a time and must not block
// for long. Errors are faults where a user can do something about them. Text is passed on as it is: making it harmless
// is the UI's work.
type Session interface {
	ClusterSession
	ObjectSession
	StreamSession
	ActionSession
}

// ClusterSession is the cluster as a whole.
type ClusterSession interface {
	// Name of the cluster ("bonsai").
	Name() string
	// Observe looks once, also at a stopped cluster and without an engine. No cluster is PhaseAbsent, not an error.
	Observe(ctx context.Context) (cluster.Snapshot, error)
	// Watch tells the newest snapshot, at once and after each change. Without a daemon it fails with fault.NotRunning.
	Watch(ctx context.Context, f func(cluster.Snapshot) error) error
	// Load tells once a second what nodes, pods and control plane do.
	Load(ctx context.Context, f func(cluster.Load) error) error
	// Starts are the records of past starts, newest first, at most five.
	Starts() []cluster.Timeline
	// Clusters are all clusters of this user.
	Clusters(ctx context.Context) ([]ClusterInfo, error)
	// Addons are all that this version has, also the disabled ones, and also of a cluster that does not run or does not
	// exist.
	Addons(ctx context.Context) ([]cluster.AddonStatus, error)
	// Operate runs one verb of the command line for the cluster ("start", "--nodes", "3"), in a process of its own that
	// outlives the UI, and tells its steps. A verb that has no steps tells each line of its output as StepProgress of a
	// step that is named after it. When ctx ends the process is interrupted, cleans up, and is waited for; with the cause
	// ErrDetach it is left running. An error is the verb's own, a fault.
	Operate(ctx context.Context, args []string, f func(cluster.Event)) error
}

// ClusterInfo is one line of a list of clusters.
type ClusterInfo struct {
	Name  string
	Phase cluster.Phase
	Nodes int
}

// ObjectSession is the objects of the Kubernetes API.
type ObjectSession interface {
	// Types are all resource types that can be listed, CRDs included, as the API server has them now.
	Types(ctx context.Context) ([]ResourceType, error)
	// WatchRows tells the objects of one type as table rows, as "kubectl get" prints them: first all of them in batches,
	// the last of which has Synced, then changes. It lists again by itself where a watch has expired; the first batch
	// of a new list has Reset.
	WatchRows(ctx context.Context, q RowQuery, f func(RowBatch) error) error
	// YAML of one object, without managed fields; it can be changed and given to Replace.
	YAML(ctx context.Context, ref Ref) (string, error)
	// Describe is what "kubectl describe" prints.
	Describe(ctx context.Context, ref Ref) (string, error)
	// Pod tells what the UI shows of a pod that a table has not: containers, owner, environment.
	Pod(ctx context.Context, namespace, name string) (PodDetail, error)
	// Events tells the Events of the cluster like WatchRows does rows, newest last; those of the last hour first.
	Events(ctx context.Context, f func([]EventLine) error) error
	// Services tells where each Service is reachable, again after each change.
	Services(ctx context.Context, f func([]ServiceLine) error) error
	// Birth tells how a pod came to be, again after each change until the story is complete.
	Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error
}

// ResourceType is one type of the API.
type ResourceType struct {
	Group, Version, Resource string // "apps", "v1", "deployments"
	Kind                     string
	Namespaced               bool
	Short                    []string // "deploy"
	Verbs                    []string
}

// Ref names one object. UID may be empty; where it is not, an action on an object of another UID fails.
type Ref struct {
	Type            ResourceType
	Namespace, Name string
	UID             string
}

// key tells objects apart.
func (r *Ref) key() string {
	return strings.Join([]string{r.Type.Group, r.Type.Resource, r.Namespace, r.Name, r.UID}, "/")
}

// RowQuery selects objects. An empty Namespace is all.
type RowQuery struct {
	Type      ResourceType
	Namespace string
}

// Column heads one cell of each row.
type Column struct {
	Name string
	// Wide columns are shown only when wide output is asked for (a priority above 0 in the API's table).
	Wide bool
	// Numeric columns align right and sort by number.
	Numeric bool
	// Time columns show the age of Row.Created; their cells are empty.
	Time bool
}

// Row is one object of a table. Cells are as the API server prints them, one per column.
type Row struct {
	UID             string
	Namespace, Name string
	Cells           []string
	// Created is the object's creation; the column "Age" derives from it when it is drawn.
	Created time.Time
	// Deleting says that the object has a deletion timestamp.
	Deleting bool
	// Labels may be shared by many rows; nobody changes them.
	Labels map[string]string
	// Owner is "Kind/name" of the controlling owner, empty if there is none.
	Owner string
}

// RowBatch is news about rows.
type RowBatch struct {
	// Columns are set in the first batch after Reset, and whenever they changed.
	Columns []Column
	// Reset says that what was told before does not count any more.
	Reset  bool
	Set    []Row
	Delete []string // UIDs
	// Synced says that the list is complete.
	Synced bool
}

// PodDetail is what a pod's screens need.
type PodDetail struct {
	Ref        Ref
	Node       string
	IP         string
	QoS        string
	Owners     []string // from the direct owner up: "ReplicaSet/web-7b8", "Deployment/web"
	Containers []ContainerDetail
	Conditions []string // "Ready False ContainersNotReady …"
	// Resolver is how its containers resolve names.
	DNSPolicy string
}

// ContainerDetail is one container of a pod.
type ContainerDetail struct {
	Name, Image string
	Init        bool
	State       string // "running since …", "waiting: CrashLoopBackOff", "exited 1 (Error)"
	Ready       bool
	Restarts    int
	// LastState tells how it ended before, empty if it never did.
	LastState string
	Env       []EnvVar
	Ports     []string
	Mounts    []string
	Requests  string
	Limits    string
}

// EnvVar is one variable; From says where the value comes from. Values of Secrets are not fetched.
type EnvVar struct{ Name, Value, From string }

// EventLine is one Event.
type EventLine struct {
	UID       string
	Time      time.Time
	Warning   bool
	Reason    string
	Namespace string
	Object    string // "pod/web-0"
	Message   string
	Count     int
	Source    string
}

// ServiceLine is a Service and where it is reachable.
type ServiceLine struct {
	UID             string
	Namespace, Name string
	Kind            string // ClusterIP, NodePort…
	ClusterIP       string
	Ports           []string // "80→8080/TCP"
	Ready, Total    int      // endpoints
	// Reachable are addresses: inside the cluster, at nodes, on this machine.
	Reachable []string
	Created   time.Time
}

// StreamSession is what flows: logs, DNS, shells, forwarded ports.
type StreamSession interface {
	// PodLogs tells the lines of the containers of the selected pods, merged, oldest first for what is there and then as
	// they come; the first call may have no lines. Pods that match later join in. It ends when nothing can follow any more,
	// or without Follow.
	PodLogs(ctx context.Context, q LogQuery, f func([]LogLine) error) error
	// ComponentLogs tells the log of a component of the host (node is empty) or of a node, which may be stopped.
	ComponentLogs(ctx context.Context, node, component string, tail int, f func([]LogLine) error) error
	// DNSLog tells every answered question from now on, searches folded. watching is called when none is missed any more.
	DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error
	// DNSStatus asks the servers of all nodes.
	DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error)
	// DNSLookup asks a name as pod ("namespace/name", or empty for any) would, and tells each step.
	DNSLookup(ctx context.Context, name, kind, pod string) (cluster.DNSLookupResult, error)
	// Exec runs a command in a container, or in a node if pod is empty, on the given streams. With a Size channel it has
	// a terminal. The exit code of the command is not an error.
	Exec(ctx context.Context, e Exec) (code int, err error)
	// Forward keeps a port of this machine connected to a port of whatever pod of the target is ready, until ctx ends. It
	// survives pods and restarts of the cluster, and tells each change of its state.
	Forward(ctx context.Context, spec ForwardSpec, f func(ForwardState)) error
}

// LogQuery selects logs.
type LogQuery struct {
	Namespace string
	// Pods by name; empty with a Selector, or with neither for the whole namespace.
	Pods     []string
	Selector string
	// Container is empty for all.
	Container string
	// Tail is how many lines of each container are told of what is there; negative is all.
	Tail   int
	Follow bool
	// Previous tells the log of the containers before their last restart; it cannot be followed.
	Previous bool
}

// LogLine is one line of one container's log.
type LogLine struct {
	Time      time.Time
	Pod       string // "namespace/name"; the node for logs of nodes
	Container string // the component for logs of components
	Text      string
	// Marker lines are not from the log: a restart, a container that ended, lines that were dropped.
	Marker bool
}

// Exec is a command to run.
type Exec struct {
	Node           string
	Namespace, Pod string
	Container      string
	Command        []string // empty: the best shell that there is
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Size           <-chan TerminalSize
}

// TerminalSize is in characters.
type TerminalSize struct{ Width, Height int }

// ForwardSpec is a port to forward.
type ForwardSpec struct {
	Namespace string
	Target    string // "pod/web-0", "service/web", "deployment/web"
	Local     int    // 0: one that is free
	Remote    int
}

// ForwardState is how a forwarded port does.
type ForwardState struct {
	Local       int
	Pod         string // connected to; empty while there is none
	Connections int    // open now
	Bytes       int64  // both ways, since the beginning
	Reason      string // why it is not connected
}

// ActionSession changes objects. What is done is told by the API, not by these methods.
type ActionSession interface {
	// Do carries out one action and tells what goes on in long ones.
	Do(ctx context.Context, a Action, f func(progress string)) error
	// Replace changes an object to what the text says. The fault Conflict says that it has changed meanwhile.
	Replace(ctx context.Context, ref Ref, yaml string) error
}

// Verb is what an Action does.
type Verb string

// The verbs of actions.
const (
	VerbDelete   Verb = "delete"
	VerbScale    Verb = "scale"    // to Replicas
	VerbRestart  Verb = "restart"  // of a workload's pods, as "kubectl rollout restart"
	VerbCordon   Verb = "cordon"   // a node
	VerbUncordon Verb = "uncordon" // a node
	VerbDrain    Verb = "drain"    // a node
)

// Action is one change to one object.
type Action struct {
	Verb     Verb
	Ref      Ref
	Replicas int
	// Grace is the deletion's grace period; negative is the object's own.
	Grace int64
}
