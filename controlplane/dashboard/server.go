// Package dashboard shows the cluster to a browser of this machine: what is wrong, a live drawing of control plane and
// nodes, all objects of the API, Events, logs.
//
// It listens on loopback, while the addon of the same name is enabled; without a page that is open, nothing else exists. Pages are
// made here (html/template, in web/), and complete without scripts; small modules keep them current. Nothing is loaded from
// anywhere else.
//
// Everything that comes from the cluster is untrusted: it becomes text, in templates that escape it and in scripts that set
// text and never markup. guard.go decides who gets anything. Begin reading at Server and routes.go.
package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bonsai/bootstrap/accept"
	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/loopback"
	"bonsai/bootstrap/servicename"
	"bonsai/bootstrap/wait"
)

const (
	// headerLimit is how long a client may take to say what it wants.
	headerLimit = 10 * time.Second
	// idleLimit is how long a connection without requests is kept.
	idleLimit = time.Minute
	// maxHeader is the size of a request's header, which has one cookie.
	maxHeader = 32 << 10
)

// Cluster is what the daemon knows of its cluster. Methods with a function argument block until ctx ends, or it fails.
type Cluster interface {
	Snapshot(ctx context.Context) cluster.Snapshot
	Watch(ctx context.Context, send func(cluster.Snapshot) error) error
	Load(ctx context.Context, send func(cluster.Load) error) error
	// Flows, DNSLog and Birth are streams, too: who talks to whom, what DNS is asked, how a pod came to be.
	Flows(ctx context.Context, send func(cluster.Flows) error) error
	DNSLog(ctx context.Context, q cluster.DNSLogQuery, watching func(), send func(cluster.DNSQuery) error) error
	Birth(ctx context.Context, namespace, name string, send func(cluster.Birth) error) error
	// Usage is what nodes use, on average since it was last asked for; it costs one request to each.
	Usage(ctx context.Context) ([]cluster.NodeUsage, error)
	Addons(ctx context.Context) ([]cluster.AddonStatus, error)
	History(ctx context.Context, q cluster.HistoryQuery) (cluster.History, error)
	// Differences are how objects differ from what they were, Past is one as it was, Revert makes it so.
	Differences(ctx context.Context, q cluster.DifferenceQuery) ([]cluster.Difference, error)
	Past(ctx context.Context, r cluster.RevertRequest) (cluster.PastObject, error)
	Revert(ctx context.Context, r cluster.RevertRequest) (cluster.Reverted, error)
}

// Objects are those of the API server. Its errors are faults where a user can do something about them.
type Objects interface {
	// Types are all that can be listed, as the API server has them now.
	Types(ctx context.Context) ([]kube.ResourceType, error)
	// WatchRows sends the objects of one type as table rows: all of them in batches, the last of which has Synced, then changes.
	WatchRows(ctx context.Context, q kube.RowQuery, f func(kube.RowBatch) error) error
	// Object returns one object, which is the caller's.
	Object(ctx context.Context, ref kube.Ref) (map[string]any, error)
	// Events sends those of the cluster, newest last: all existing ones in the first call, then each new or updated one.
	Events(ctx context.Context, f func([]kube.EventLine) error) error
	PodLogs(ctx context.Context, q kube.LogQuery, f func([]kube.LogLine) error) error
	Changes
	// Starts are the records of past starts, the newest first.
	Starts() []cluster.Timeline
	// Relations is what an object uses, and what uses it.
	Relations(ctx context.Context, ref kube.Ref) (kube.Relations, error)
}

// Changes are those of objects. What is called Preview has the API server do all but store.
type Changes interface {
	// Do carries out one action, and reports the progress of long ones.
	Do(ctx context.Context, a kube.Action, f func(progress string)) error
	Preview(ctx context.Context, a kube.Action) (kube.Difference, error)
	// YAML of one object, without managed fields; it can be changed and given to Replace, which fails with fault.Conflict if
	// somebody has changed the object meanwhile.
	YAML(ctx context.Context, ref kube.Ref) (string, error)
	PreviewReplace(ctx context.Context, ref kube.Ref, yaml string) (kube.Difference, error)
	Replace(ctx context.Context, ref kube.Ref, yaml string) error
	// Create creates the objects of a text, those that name no namespace in the given one; it returns those that it has created,
	// also when it fails.
	PreviewCreate(ctx context.Context, namespace, yaml string) ([]kube.NewObject, error)
	Create(ctx context.Context, namespace, yaml string) ([]kube.Ref, error)
	// Revisions are the pod templates that a workload has had, the newest first.
	Revisions(ctx context.Context, ref kube.Ref) ([]kube.Revision, error)
	// Operate runs a command of bonsai, and reports its steps; with the cause cluster.ErrDetach of ctx it is left running.
	Operate(ctx context.Context, args []string, f func(cluster.Event)) error
	// DrainPlan is what a drain of a node would do.
	DrainPlan(ctx context.Context, node string) (kube.DrainPlan, error)
}

// Words are texts in one language. The English text is the key.
type Words interface {
	Lang() string
	T(english string, args ...any) string
	// Diagnosis says what was found out about the cluster.
	Diagnosis(english string) string
}

// Options are what a Server needs.
type Options struct {
	Cluster Cluster
	Objects Objects
	// Words are those of a language, named as in LANG.
	Words func(lang string) Words
	// MayUse says whether whoever has a connection may use the dashboard.
	MayUse func(net.Conn) error
	// Kept is the port that Keep was called with last, 0 if it never was; so bookmarks stay right.
	Kept func() int
	Keep func(port int) error
	Log  *slog.Logger
	// Scale multiplies limits on waits.
	Scale wait.Scale
}

// Server serves the dashboard from Apply until Close. It is safe for concurrent use.
type Server struct {
	o        Options
	ctx      context.Context //nolint:containedctx // the life of the server, for its sessions and streams
	cancel   context.CancelFunc
	sessions *sessions
	pages    *pages
	types    typeCache
	tasks    tasks
	used     usage

	applying sync.Mutex // held by Apply and Close, and guards stop
	stop     func()     // ends the listeners; nil without any
	serving  sync.WaitGroup

	mu       sync.Mutex // guards the rest
	closed   bool
	name     string // of the cluster
	status   cluster.Dashboard
	requests sync.WaitGroup // and tasks
}

// New returns a Server that does not listen yet.
func New(o Options) *Server {
	s := &Server{o: o, status: cluster.Dashboard{Reason: "the cluster is starting"}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.sessions = newSessions(s.ctx)
	s.pages = newPages()
	return s
}

// Status returns where it listens.
func (s *Server) Status() cluster.Dashboard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Apply serves the dashboard of spec's cluster, or stops that if it does not want one, which ends all sessions. It does not wait,
// and fails for nobody: Status reports a port that is missing. A port that spec has for something else is left to that.
func (s *Server) Apply(spec cluster.Spec) {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.name = spec.Name
	before, closed := s.status, s.closed
	s.mu.Unlock()
	if closed {
		return
	}
	if !spec.Wants(cluster.DashboardAddon, false) {
		s.sessions.revoke()
		s.end()
		s.set(cluster.Dashboard{Reason: "the addon " + cluster.DashboardAddon + " is disabled"})
		return
	}
	ports := s.choose(spec)
	if before.Open && (before.Port == ports[0] || ports[0] == 0) {
		return
	}
	s.end()
	listeners, port, err := loopback.Listen(ports)
	if err != nil {
		s.o.Log.Warn("the dashboard has no port on this machine", "err", err)
		s.set(cluster.Dashboard{Reason: loopback.Reason(err)})
		return
	}
	if err := s.o.Keep(port); err != nil {
		s.o.Log.Warn("the port of the dashboard may be another one next time", "err", err)
	}
	s.set(cluster.Dashboard{Open: true, Port: port})
	s.begin(listeners)
}

// choose returns ports to try, in order; 0 is any.
func (s *Server) choose(spec cluster.Spec) []int {
	if fixed := spec.DashboardPort(); fixed != 0 {
		return []int{fixed}
	}
	taken := []int{spec.APIPort}
	for _, p := range spec.Ports {
		taken = append(taken, p.Port)
	}
	return loopback.Ports([]int{s.o.Kept()}, taken)
}

func (s *Server) set(d cluster.Dashboard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = d
}

// stranger is the key of the reason why whoever has a connection may not use the dashboard.
type stranger struct{}

// begin serves at listeners; s.applying is held.
func (s *Server) begin(listeners []net.Listener) {
	server := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: s.o.Scale.Of(headerLimit), IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if err := s.o.MayUse(c); err != nil {
				return context.WithValue(ctx, stranger{}, err)
			}
			return ctx
		},
	}
	for _, l := range listeners {
		s.serving.Go(func() {
			if err := server.Serve(accept.Patient(l, s.o.Log)); !errors.Is(err, http.ErrServerClosed) {
				s.o.Log.Warn("the dashboard is not served any more", "err", err)
			}
		})
	}
	sampling, stop := context.WithCancel(s.ctx)
	s.serving.Go(func() { s.sample(sampling) })
	s.stop = func() {
		stop()
		_ = server.Close()
	}
}

// end closes listeners, if there are any, and all of their connections; s.applying is held.
func (s *Server) end() {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	s.serving.Wait()
}

// Close ends everything, and waits.
func (s *Server) Close() {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.mu.Lock()
	s.closed = true
	s.status = cluster.Dashboard{Reason: "the cluster is stopping"}
	s.mu.Unlock()
	s.cancel()
	s.end()
	s.requests.Wait()
}

// enter counts a request; ok is false when the server is closed.
func (s *Server) enter() (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	s.requests.Add(1)
	return s.requests.Done, true
}

// at are the cluster's name and where the server listens.
func (s *Server) at() (name string, d cluster.Dashboard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.name, s.status
}

// Login returns a URL that lets one browser in, once. The fault Addon says that nothing listens.
func (s *Server) Login(readOnly bool) (cluster.DashboardLogin, error) {
	name, d := s.at()
	if !d.Open {
		f := fault.Newf(fault.Addon, "the dashboard is not served: %s", d.Reason)
		return cluster.DashboardLogin{}, f.Advise("see its state", cluster.Bonsai("addons", "status").On(cluster.DashboardAddon).Of(name))
	}
	address := "http://" + net.JoinHostPort(servicename.DashboardHost(name), strconv.Itoa(d.Port)) + "/"
	return cluster.DashboardLogin{
		URL: address + "login?token=" + s.sessions.invite(readOnly), Address: address, ReadOnly: readOnly,
	}, nil
}

// Revoke ends all sessions, and makes void what Login returned.
func (s *Server) Revoke() cluster.DashboardRevoked { return s.sessions.revoke() }
