package tui

import (
	"context"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
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
	// Watch sends the newest snapshot, at once and after each change. Without a daemon it fails with fault.NotRunning.
	Watch(ctx context.Context, f func(cluster.Snapshot) error) error
	// Load reports once a second what nodes, pods and control plane do.
	Load(ctx context.Context, f func(cluster.Load) error) error
	// Flows reports once a second who talks to whom. It is measured only meanwhile.
	Flows(ctx context.Context, f func(cluster.Flows) error) error
	// Why walks from a pod to something else; a way that ends early is not an error.
	Why(ctx context.Context, q cluster.WhyQuestion) (cluster.Why, error)
	// Starts are the records of past starts, newest first, at most five.
	Starts() []cluster.Timeline
	// Clusters are all clusters of this user.
	Clusters(ctx context.Context) ([]cluster.Info, error)
	// Ports are the ports of this machine that lead into the cluster whenever it runs.
	Ports(ctx context.Context) ([]cluster.PortStatus, error)
	// Images are those of the nodes that run, by the node's name. EngineImages are the names of those that the container
	// engine has, which can be loaded into the nodes.
	Images(ctx context.Context) (map[string][]cluster.NodeImage, error)
	EngineImages(ctx context.Context) ([]string, error)
	// Checkpoints are those of the cluster, the newest first, also while it does not run. Operate saves, restores and deletes them.
	Checkpoints(ctx context.Context) ([]cluster.Checkpoint, error)
	// Doctor looks at this machine, and with fix repairs what this user has the rights for before that.
	Doctor(ctx context.Context, fix bool) ([]cluster.Check, error)
	// Addons are all that this version has, also the disabled ones, and also of a cluster that is not running or does not
	// exist.
	Addons(ctx context.Context) ([]cluster.AddonStatus, error)
	// Operate runs one verb of the command line ("start", "--nodes", "3") for the cluster, or the one that args name after
	// "-p", in a process of its own that outlives the UI, and reports its steps. A verb that has no steps reports each line of its output as StepProgress of a
	// step that is named after it. When ctx ends the process is interrupted, cleans up, and is waited for; with the cause
	// cluster.ErrDetach it is left running. An error is the verb's own, a fault.
	Operate(ctx context.Context, args []string, f func(cluster.Event)) error
}

// ObjectSession is the objects of the Kubernetes API.
type ObjectSession interface {
	// Types are all resource types that can be listed, CRDs included, as the API server has them now.
	Types(ctx context.Context) ([]kube.ResourceType, error)
	// WatchRows sends the objects of one type as table rows, as "kubectl get" prints them: first all of them in batches,
	// the last of which has Synced, then changes. It lists again on its own where a watch has expired; the first batch
	// of a new list has Reset.
	WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error
	// YAML of one object, without managed fields; it can be changed and given to Replace.
	YAML(ctx context.Context, ref kube.Ref) (string, error)
	// Describe is what "kubectl describe" prints.
	Describe(ctx context.Context, ref kube.Ref) (string, error)
	// Pod is what the UI shows of a pod that a table does not have: containers and owner.
	Pod(ctx context.Context, namespace, name string) (kube.PodDetail, error)
	// Revisions are the pod templates that a Deployment, StatefulSet or DaemonSet has had, the newest first.
	Revisions(ctx context.Context, ref kube.Ref) ([]kube.Revision, error)
	// Values are the entries of a Secret or ConfigMap; those of a Secret have only their sizes unless reveal is set.
	Values(ctx context.Context, ref kube.Ref, reveal bool) ([]kube.Value, error)
	// Relations is what an object uses, down to containers, and what uses it.
	Relations(ctx context.Context, ref kube.Ref) (kube.Relations, error)
	// Access is whether somebody may do something, and who else may; Rights is all that RBAC gives somebody.
	Access(ctx context.Context, q kube.AccessQuery) (kube.Access, error)
	Rights(ctx context.Context, who kube.Subject) ([]kube.Right, error)
	// PodResources are what all pods request and may use, and what the nodes have for pods.
	PodResources(ctx context.Context) (kube.ClusterResources, error)
	// Environment is what the containers of a pod would get if they started now; values of Secrets only with reveal.
	Environment(ctx context.Context, namespace, name string, reveal bool) ([]kube.ContainerEnv, error)
	// Events sends the Events of the cluster as WatchRows does rows, newest last; those of the last hour first.
	Events(ctx context.Context, f func([]kube.EventLine) error) error
	// Services reports where each Service is reachable, again after each change.
	Services(ctx context.Context, f func([]kube.ServiceLine) error) error
	// History is what has happened to one object, the newest change first; with status also changes of nothing but that.
	// Without a name it is about all objects, of one namespace or of all.
	History(ctx context.Context, ref kube.Ref, status bool) (cluster.History, error)
	// Birth reports how a pod was created, again after each change until the story is complete.
	Birth(ctx context.Context, namespace, name string, f func(cluster.Birth) error) error
}

// StreamSession is what flows: logs, DNS, shells, forwarded ports.
type StreamSession interface {
	// PodLogs sends the lines of the containers of the selected pods, merged, oldest first for what is there and then as
	// they come; the first call may have no lines. Pods that match later join in. It ends when nothing can follow any more,
	// or without Follow.
	PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error
	// ComponentLogs sends the log of a component of the host (node is empty) or of a node, which may be stopped.
	ComponentLogs(ctx context.Context, node, component string, tail int, f func([]kube.LogLine) error) error
	// DNSLog sends every answered question from now on, searches folded. watching is called when none is missed any more.
	DNSLog(ctx context.Context, watching func(), f func(cluster.DNSQuery) error) error
	// DNSStatus asks the servers of all nodes.
	DNSStatus(ctx context.Context) ([]cluster.DNSStatus, error)
	// DNSLookup asks a name as pod ("namespace/name", or empty for any) would, and reports each step.
	DNSLookup(ctx context.Context, name, kind, pod string) (cluster.DNSLookupResult, error)
	// Exec runs a command in a container, or in a node if pod is empty, on the given streams. With a Size channel it has
	// a terminal. The exit code of the command is not an error.
	Exec(ctx context.Context, e kube.Exec) (code int, err error)
	// Forward keeps a port of this machine connected to a port of any ready pod of the target, until ctx ends. It
	// survives pods and restarts of the cluster, and reports each change of its state.
	Forward(ctx context.Context, spec kube.ForwardSpec, f func(kube.ForwardState)) error
}

// ActionSession changes objects. The API reports what has changed, not these methods.
type ActionSession interface {
	// Do carries out one action, and reports the progress of long ones.
	Do(ctx context.Context, a kube.Action, f func(progress string)) error
	// Preview is what an action would make of its object. The API server runs all of it and stores nothing.
	Preview(ctx context.Context, a kube.Action) (kube.Difference, error)
	// PreviewReplace is Preview of Replace.
	PreviewReplace(ctx context.Context, ref kube.Ref, yaml string) (kube.Difference, error)
	// Replace changes an object to what the text says. The fault Conflict says that it has changed meanwhile.
	Replace(ctx context.Context, ref kube.Ref, yaml string) error
	// Revert makes an object as it was after the change of a revision, or with revision 0 one that does not exist any more as it
	// was last. A dry run only says what would change.
	Revert(ctx context.Context, ref kube.Ref, revision int64, dryRun bool) (cluster.Reverted, error)
}
