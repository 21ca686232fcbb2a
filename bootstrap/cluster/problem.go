package cluster

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Severity orders problems.
type Severity string

// Severities, worst first.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)

// rank is the place of a severity in a list.
func (s Severity) rank() int {
	return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityInfo}, s)
}

// Problem is one thing that is wrong, in the same form for CLI, JSON and terminal UI.
type Problem struct {
	// Kind is stable and meant for scripts; it is a fault.Kind if the problem came from an error.
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	// Object is what has the problem ("node/bonsai-2", "deployment/shop/cart"): for pods with a controller, the
	// controller.
	Object string `json:"object,omitempty"`
	// Summary says what is wrong in one line, Cause why, Advice what to type or do next, the best first. Of workloads,
	// Summary does not name the Object.
	Summary string   `json:"summary"`
	Cause   string   `json:"cause,omitempty"`
	Advice  []Advice `json:"advice,omitempty"`
	// Evidence are the last relevant lines of a log.
	Evidence []string `json:"evidence,omitempty"`
	// Since is when it began, as far as known; zero if not.
	Since time.Time `json:"since,omitzero"`
	// Count is how many pods have the problem, 0 if it is not about pods. Pods are some of them, "namespace/name", and
	// Container is the one in them.
	Count     int      `json:"count,omitempty"`
	Pods      []string `json:"pods,omitempty"`
	Container string   `json:"container,omitempty"`
	// Retry is when Kubernetes retries on its own, if known.
	Retry time.Time `json:"retry,omitzero"`
	// Because are the objects whose problems this one follows from.
	Because []Because `json:"because,omitempty"`
}

// Because is a cause of a problem that is a problem itself.
type Because struct {
	// Object is what has that problem ("node/dev-2").
	Object string `json:"object"`
	// How is what shows that one follows from the other.
	How BecauseKind `json:"how"`
}

// BecauseKind is how a problem follows from that of another object.
type BecauseKind string

// The ways in which problems follow from others.
const (
	BecauseRuns      BecauseKind = "RunsThere"      // its pods are on that node
	BecauseVolume    BecauseKind = "VolumeThere"    // its volume is on that node and nowhere else
	BecauseRoom      BecauseKind = "RoomThere"      // that node would have room for it
	BecauseTaint     BecauseKind = "NoPodsThere"    // that node is not ready, so that it gets no pods
	BecauseComponent BecauseKind = "ComponentThere" // it is a component of that node, or of the control plane, that it needs
)

// HintText is what to type or do next as text in English, with a line for each piece of advice.
func (p Problem) HintText() string { return hint(p.Advice) }

// Cure is the first command that is certain to help and that a program showing the problem may offer to run; false if
// only the user can do something.
func (p Problem) Cure() (Command, bool) { return FixOf(p.Advice) }

// FixText is Cure as arguments of bonsai's command line, quoted for a shell, without the cluster's name
// ("image load web:1"); empty if there is none.
func (p Problem) FixText() string {
	c, ok := p.Cure()
	if !ok {
		return ""
	}
	return shellLine(c.Of("").Argv()[1:])
}

// For returns the problem with the name of the current cluster in all commands that lack it.
func (p Problem) For(cluster string) Problem {
	p.Advice = adviceFor(p.Advice, cluster)
	return p
}

// MarshalJSON writes the advice twice, as values and, for scripts, as text.
func (p Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	return json.Marshal(struct {
		plain
		Hint string `json:"hint,omitempty"`
		Fix  string `json:"fix,omitempty"`
	}{plain(p), p.HintText(), p.FixText()})
}

// UnmarshalJSON makes advice of the text of a daemon that is older than advice.
func (p *Problem) UnmarshalJSON(data []byte) error {
	type plain Problem
	var v struct {
		plain
		Hint string `json:"hint"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*p = Problem(v.plain)
	p.Advice = adviceFrom(p.Advice, v.Hint)
	return nil
}

// Kinds of problems with workloads; the package that finds them says when. Others come from faults.
const (
	ProblemName          = "NameNotInDNS"          // pods ask for a name that does not exist
	ProblemImage         = "ImageNotPulled"        // no image, no container
	ProblemCrash         = "CrashLoop"             // a container exits again and again
	ProblemFailed        = "Failed"                // a pod or Job that is not retried has failed
	ProblemStart         = "CannotStart"           // a container or its sandbox cannot be created or started
	ProblemMemory        = "OutOfMemory"           // killed because of its memory use
	ProblemProbe         = "ProbeFailing"          // a probe keeps it from being ready, or restarts it
	ProblemUnschedulable = "Unschedulable"         // no node can take the pod
	ProblemClaim         = "VolumeUnbound"         // a claim does not get a volume
	ProblemMount         = "VolumeNotMounted"      // a volume cannot be mounted
	ProblemUserNS        = "NoUserNamespaces"      // a node cannot give user namespaces to pods
	ProblemConfig        = "ConfigMissing"         // a ConfigMap, a Secret or a key of one does not exist
	ProblemPort          = "PortTaken"             // a port of a node, or of the pod itself, is in use
	ProblemRefused       = "Refused"               // pods are not admitted: quota, webhook, policy, limits
	ProblemRange         = "RangeRouted"           // this machine reaches something at addresses of pods or Services
	ProblemStore         = "StoreFull"             // etcd is nearly full, or full and refuses all writes
	ProblemRestarted     = "ControlPlaneRestarted" // the control plane exited unexpectedly, and runs again
	ProblemWebhook       = "WebhookUnanswered"     // a webhook that fails closed and that nobody answers

	ProblemService    = "ServiceWithoutPods"  // a Service selects no pod, or none that is ready
	ProblemTarget     = "TargetPortWrong"     // a Service leads to a port that its pods do not have
	ProblemBalancer   = "LoadBalancerPending" // nothing gives a Service of type LoadBalancer an address
	ProblemIngress    = "IngressUnserved"     // no controller serves an Ingress
	ProblemBackend    = "BackendMissing"      // an Ingress or route leads to a Service, port or Secret that does not exist
	ProblemHost       = "HostClaimedTwice"    // two Ingresses or routes claim the same host and path
	ProblemPolicy     = "PolicyNotEnforced"   // NetworkPolicies that nothing enforces
	ProblemDenied     = "DeniedByPolicy"      // a NetworkPolicy keeps an app from what it tries to reach
	ProblemAutoscaler = "CannotScale"         // an autoscaler without metrics, or without a target
	ProblemSchedule   = "NotRunOnSchedule"    // a CronJob that does not start when it is due

	ProblemDeletion = "CannotBeDeleted" // something holds an object that is being deleted
	ProblemAPI      = "APIUnanswered"   // an APIService whose server does not answer
	ProblemDrain    = "DrainBlocked"    // a PodDisruptionBudget allows no eviction from a node that is cordoned
	ProblemRollout  = "RolloutStuck"    // new pods fail while those of an older revision run
	ProblemAway     = "NodeAway"        // a pod waits for a node that does not work or exist, or for data on it
)

// SortProblems sorts the most serious first, then those that others depend on, then the oldest.
func SortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Severity.rank(), b.Severity.rank()),
			cmp.Compare(layer(a.Object), layer(b.Object)),
			compareSince(a.Since, b.Since),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Summary, b.Summary),
		)
	})
}

// layer is how basic an object is: problems with objects above it may follow from its own.
func layer(object string) int {
	switch kind, _, _ := strings.Cut(object, "/"); kind {
	case "engine", "daemon":
		return 0
	case "node":
		return 1
	}
	return 2
}

// compareSince sorts problems without a time first: they are about the cluster itself.
func compareSince(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		if a.IsZero() {
			return -1
		}
		return 1
	}
	return a.Compare(b)
}
