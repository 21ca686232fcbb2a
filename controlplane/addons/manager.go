package addons

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/wait"
	"bonsai/controlplane/addons/catalog"
)

const (
	// interval is how often everything is compared with what it should be, and restored.
	interval = 30 * time.Second
	// firstRetry is the pause after a pass that failed; it doubles up to interval.
	firstRetry = time.Second
	// applyPause is between the tries of Apply.
	applyPause = 25 * time.Millisecond
	// lookInterval is how often health is checked while something is not as it should be.
	lookInterval = time.Second
	// removeInterval is the same while deleted objects are about to disappear, which takes at most removeTime unless a
	// finalizer of somebody else delays it.
	removeInterval = 50 * time.Millisecond
	removeTime     = 2 * time.Second
)

// Limits on a quiet machine; Options.Scale multiplies them.
const (
	applyLimit  = 5 * time.Second  // Apply, with all its tries
	passLimit   = 20 * time.Second // one comparison of everything
	lookLimit   = 2 * time.Second  // one round of health checks
	runnerLimit = 5 * time.Second  // the end of a runner that was asked to stop
)

// Options are the dependencies and settings of a Manager.
type Options struct {
	Addons []Addon
	Spec   cluster.Spec
	// Changed is called when Status has changed; it must not block. It may be nil.
	Changed func()
	Log     *slog.Logger
	// Scale multiplies every limit, for slow machines.
	Scale wait.Scale
}

// Manager brings the addons of one cluster into the desired state and reports their status. Its methods may be called
// from any goroutine; call Apply before Run, and Run once.
type Manager struct {
	catalog *catalog.Catalog
	addons  map[string]Addon
	opts    Options

	// reconcile and look wake Run: to compare everything, or only to check health.
	reconcile, look chan struct{}
	runners         sync.WaitGroup

	passing sync.Mutex // held while objects are changed
	looking sync.Mutex // held while health is checked, so that an older answer never follows a newer one

	mu      sync.Mutex // guards everything below
	cluster Cluster
	store   store // nil until Apply
	spec    cluster.Spec
	changed chan struct{} // closed and replaced with spec
	parts   map[string]*part
	// demanded are addons that something in the cluster needs.
	demanded map[string]bool
}

// New returns a manager that does nothing yet. It fails if the addons themselves are inconsistent.
func New(o Options) (*Manager, error) {
	m := &Manager{
		addons: map[string]Addon{}, opts: o, reconcile: make(chan struct{}, 1), look: make(chan struct{}, 1),
		changed: make(chan struct{}), parts: map[string]*part{}, demanded: map[string]bool{},
	}
	var descriptions []cluster.AddonDescription
	for _, a := range o.Addons {
		d := a.Describe()
		descriptions = append(descriptions, d)
		m.addons[d.Name] = a
		m.parts[d.Name] = &part{description: d}
	}
	var err error
	if m.catalog, err = catalog.New(descriptions); err != nil {
		return nil, err
	}
	m.want(o.Spec)
	return m, nil
}

// Apply creates the objects of wanted addons, in parallel, for use just before a cluster reports that it is ready.
// Objects that cannot be created within a few seconds become the addon's reason, are part of the error, and are retried
// by Run. Addons use the clients in c from now on; its functions and its scale are filled in here.
func (m *Manager) Apply(ctx context.Context, c Cluster) error {
	return m.connect(ctx, c, &objects{dynamic: c.Dynamic})
}

func (m *Manager) connect(ctx context.Context, c Cluster, s store) error {
	c.Spec, c.Changed, c.Notify, c.Scale = m.currentSpec, m.specChanged, m.notify, m.opts.Scale
	m.passing.Lock()
	defer m.passing.Unlock()
	m.mu.Lock()
	m.cluster, m.store = c, s
	m.mu.Unlock()
	ctx, cancel := m.limit(ctx, applyLimit)
	defer cancel()
	names := m.wanted()
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			errs[i] = m.apply(ctx, name, nil)
			// Namespaces, admission plugins and the allocator of addresses may need a few more moments.
			for ctx.Err() == nil && errs[i] != nil && !isForeign(errs[i]) {
				_ = wait.Pause(ctx, applyPause)
				errs[i] = m.apply(ctx, name, nil)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Run keeps the addons in the desired state until ctx ends, and returns when their runners have ended, or after a few
// seconds without waiting for those that have not. When these have ended, it can be called again.
func (m *Manager) Run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		ended := make(chan struct{})
		go func() { m.runners.Wait(); close(ended) }()
		select {
		case <-ended:
			m.update(func() {
				for _, p := range m.parts {
					p.runner = nil
				}
			})
		case <-time.After(m.opts.Scale.Of(runnerLimit)): // the process exits next; only the goroutines are lost
		}
	}()
	m.startRunners(ctx)
	m.awaitDemand(ctx)
	next := time.NewTimer(interval)
	defer next.Stop()
	// What Apply has just created need not be compared at once; objects that are not wanted may be left over from
	// earlier.
	due, retry := !m.complete(), firstRetry
	for {
		if due {
			err := m.pass(ctx)
			m.startRunners(ctx)
			wait := interval
			if err != nil && ctx.Err() == nil {
				m.opts.Log.Warn("addons are not in the desired state", "err", err, "retry", retry)
				wait, retry = retry, min(2*retry, interval)
			} else {
				retry = firstRetry
			}
			next.Reset(wait)
		}
		m.observe(ctx, m.removing())
		var again <-chan time.Time
		if d := m.unsettled(); d > 0 {
			again = time.After(d)
		}
		due = false
		select {
		case <-ctx.Done():
			return
		case <-m.reconcile:
			due, retry = true, firstRetry
		case <-next.C:
			due = true
		case <-m.look:
		case <-again:
		}
	}
}

// Reload applies a changed plan. It returns at once; from then on Status reflects the new desired state.
func (m *Manager) Reload(spec cluster.Spec) {
	m.want(spec)
	wake(m.reconcile)
}

// Status returns what is known about every addon, each after those that it needs. It costs nothing.
func (m *Manager) Status() []cluster.AddonStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]cluster.AddonStatus, 0, len(m.parts))
	for _, d := range m.catalog.Here() {
		list = append(list, m.parts[d.Name].status)
	}
	return list
}

// Observe lists the objects and checks health, and then returns the same as Status. It takes no longer than ctx or two
// seconds; for what could not be checked in that time, the last known state is returned.
func (m *Manager) Observe(ctx context.Context) []cluster.AddonStatus {
	m.observe(ctx, true)
	return m.Status()
}

// Wants reports whether an addon is enabled.
func (m *Manager) Wants(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.parts[name]
	return ok && p.wanted
}

// Nodes are the phases of an addon's part on each node; nil if the addon is not wanted or has no such part.
func (m *Manager) Nodes(name string) map[string]cluster.Phase {
	a, ok := m.addons[name].(NodePhases)
	if !ok {
		return nil
	}
	m.mu.Lock()
	wanted := m.parts[name].wanted
	m.mu.Unlock()
	if !wanted {
		return nil
	}
	return a.Nodes()
}

// want applies the desired addons of spec. The history of an addon that was enabled, disabled or configured starts again.
func (m *Manager) want(spec cluster.Spec) {
	wanted := m.catalog.Wanted(spec.Addons)
	m.update(func() {
		for name := range m.demanded {
			if _, chosen := spec.Addons[name]; !chosen {
				wanted[name] = true
			}
		}
		m.spec = spec
		close(m.changed)
		m.changed = make(chan struct{})
		for _, d := range m.catalog.Here() {
			p := m.parts[d.Name]
			values := spec.AddonValues[d.Name]
			if wanted[d.Name] != p.wanted || p.wanted && !maps.Equal(values, p.values) {
				p.turn(wanted[d.Name])
			}
			p.values = values
			p.blockedBy = ""
			for _, need := range d.Needs {
				if !wanted[need] || m.parts[need].blockedBy != "" {
					p.blockedBy = need
					break
				}
			}
		}
	})
}

// update changes parts under the lock, recomputes every state and notifies watchers if one has changed.
func (m *Manager) update(change func()) {
	m.mu.Lock()
	change()
	news := false
	for _, p := range m.parts {
		news = p.settle(time.Now(), m.spec.Name) || news
	}
	m.mu.Unlock()
	if news && m.opts.Changed != nil {
		m.opts.Changed()
	}
}

// wanted are the addons to apply, each after its dependencies.
func (m *Manager) wanted() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.catalog.Here() {
		if p := m.parts[d.Name]; p.wanted && p.blockedBy == "" {
			names = append(names, d.Name)
		}
	}
	return names
}

// complete reports that all addons are wanted and applied, so that there is nothing to do. What one that comes on demand has left
// over can wait.
func (m *Manager) complete() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		if p.description.OnDemand && !p.wanted {
			continue
		}
		if !p.wanted || p.blockedBy != "" || !p.applied {
			return false
		}
	}
	return true
}

// removing reports whether anything is being removed.
func (m *Manager) removing() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		if p.status.State == cluster.AddonRemoving {
			return true
		}
	}
	return false
}

// unsettled is the pause before the next look; 0 if everything is as it should be.
func (m *Manager) unsettled() (d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		switch p.status.State {
		case cluster.AddonRunning, cluster.AddonDisabled, cluster.AddonBlocked:
		case cluster.AddonRemoving:
			if p.err == nil && time.Since(p.status.Since) < removeTime {
				return removeInterval
			}
			d = lookInterval
		default:
			d = lookInterval
		}
	}
	return d
}

// notify is Cluster.Notify. The result of Nodes may have changed without a change of any state.
func (m *Manager) notify() {
	wake(m.look)
	if m.opts.Changed != nil {
		m.opts.Changed()
	}
}

func (m *Manager) currentSpec() cluster.Spec {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spec
}

func (m *Manager) specChanged() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *Manager) limit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return m.opts.Scale.Limit(ctx, d, "the API server")
}

// wake makes a receiver run, now or after what it is doing.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it is about to run anyway
	}
}
