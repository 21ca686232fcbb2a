package metricsserver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/metrics-server/pkg/scraper"
	"sigs.k8s.io/metrics-server/pkg/storage"

	"bonsai/bootstrap/cluster"
)

const (
	// fast is how often figures are read while somebody uses them: the kubelet measures as often. Upstream reads every 15 s.
	fast = 10 * time.Second
	// keen is how long after a request somebody counts as using them. An autoscaler asks every few seconds.
	keen = 5 * time.Minute
	// slow is how often they are read otherwise, so that an answer can be given at once; it doubles up to rare while no node answers,
	// as in a cluster that is paused.
	slow, rare = time.Minute, 10 * time.Minute
	// eager is how often they are read while those of a node are missing, which can be so after a start; after eagerTries
	// it is not about to change.
	eager      = 2 * time.Second
	eagerTries = 15
	// freshLimit is how long a request waits for newer figures before it gets the old ones.
	freshLimit = 2 * time.Second
	// scrapeLimit bounds the answer of one kubelet, on a quiet machine, which takes milliseconds: the figures of all nodes wait for
	// one that is frozen. Upstream's default is 10 s, for nodes elsewhere.
	scrapeLimit = 4 * time.Second
	// storedResolution is what upstream's storage takes for the pace, and by which it decides whether a new container's first
	// reading is enough: upstream's pace.
	storedResolution = 15 * time.Second
	// toleratedGaps is how many readings in a row a node that is Ready may be missing from before the addon is degraded.
	toleratedGaps = 3
)

// store is upstream's storage.
type store interface {
	storage.Storage
	NodeReady() bool
}

// figures are what the nodes and pods use, read again and again: often while somebody asks for them, rarely otherwise.
type figures struct {
	scraper scraper.Scraper
	store   store
	// ready returns the nodes that are Ready; changed is called when health may have changed.
	ready   func() []string
	changed func()
	wake    chan struct{}
	said    string // the health that changed was called for last; only run uses it

	mu    sync.Mutex    // guards the rest
	asked time.Time     // when somebody last asked
	read  time.Time     // when the last reading began
	next  chan struct{} // closed when the next reading has ended
	// wanted asks for a reading without a pause.
	wanted bool
	// gaps counts for each node that is Ready how many readings in a row it was missing from; none has an entry that was not.
	gaps map[string]int
	// tries counts the readings since something changed.
	tries int
	// silent counts the readings in a row without any node.
	silent int
	// shown says that there were figures to show once.
	shown bool
	// rested says that health had nothing to wait for, as no node was Ready.
	rested bool
}

func newFigures(s scraper.Scraper, to store, ready func() []string, changed func()) *figures {
	return &figures{scraper: s, store: to, ready: ready, changed: changed, wake: make(chan struct{}, 1), next: make(chan struct{}), gaps: map[string]int{}}
}

// run reads until ctx ends.
func (f *figures) run(ctx context.Context) {
	for ctx.Err() == nil {
		f.readNow(ctx)
		for left := f.left(); left > 0 && ctx.Err() == nil; left = f.left() {
			pause := time.NewTimer(left)
			select {
			case <-ctx.Done():
			case <-f.wake: // what left depends on has changed
			case <-pause.C:
			}
			pause.Stop()
		}
	}
}

// soon makes run read without a pause: something has changed.
func (f *figures) soon() {
	f.mu.Lock()
	f.wanted, f.tries, f.silent = true, 0, 0
	f.mu.Unlock()
	f.poke()
}

func (f *figures) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // it is about to look
	}
}

func (f *figures) readNow(ctx context.Context) {
	ready := f.ready()
	f.mu.Lock()
	f.read, f.wanted = time.Now(), false
	f.mu.Unlock()
	batch := f.scraper.Scrape(ctx)
	f.store.Store(batch)
	f.mu.Lock()
	gaps := map[string]int{}
	for _, name := range ready {
		if _, ok := batch.Nodes[name]; !ok {
			gaps[name] = f.gaps[name] + 1
		}
	}
	f.gaps = gaps
	f.tries++
	f.silent++
	if len(batch.Nodes) > 0 {
		f.silent = 0
	}
	f.shown = f.shown || f.store.NodeReady()
	close(f.next)
	f.next = make(chan struct{})
	f.mu.Unlock()
	state, reason, _ := f.health()
	if said := string(state) + reason; said != f.said { // each call has everybody who watches the cluster look again
		f.said = said
		f.changed()
	}
}

// left is the time until the next reading; none if that is due.
func (f *figures) left() time.Duration {
	ready := f.ready()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted {
		return 0
	}
	return f.pause(ready) - time.Since(f.read)
}

// pause is the time between two readings. mu is held.
func (f *figures) pause(ready []string) time.Duration {
	incomplete := len(f.gaps) > 0 || len(ready) > 0 && !f.store.NodeReady()
	switch {
	case incomplete && f.tries < eagerTries:
		return eager
	case !f.asked.IsZero() && time.Since(f.asked) < keen:
		return fast
	case f.silent > 1:
		return min(slow<<min(f.silent-1, 8), rare)
	}
	return slow
}

// before lets requests for figures wait for newer ones if those that are there are old.
func (f *figures) before(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := request.RequestInfoFrom(r.Context()); ok && info.IsResourceRequest {
			f.refresh(r.Context())
		}
		api.ServeHTTP(w, r)
	})
}

// refresh notes that somebody asks, and returns when the figures are not older than they are while somebody does, or after a
// moment.
func (f *figures) refresh(ctx context.Context) {
	f.mu.Lock()
	f.asked = time.Now()
	old, next := time.Since(f.read) >= fast, f.next
	f.wanted = f.wanted || old
	f.mu.Unlock()
	f.poke()
	if !old {
		return
	}
	limit := time.NewTimer(freshLimit)
	defer limit.Stop()
	select {
	case <-next:
	case <-ctx.Done():
	case <-limit.C:
	}
}

// health is the state of the addon as far as figures are concerned.
func (f *figures) health() (cluster.AddonState, string, []cluster.Advice) {
	ready := f.ready()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.shown:
	case len(ready) == 0:
		f.rested = true
	case !f.rested:
		return cluster.AddonInstalling, "the first figures of the nodes take some seconds", nil
	case f.tries >= eagerTries: // nodes that have joined a cluster without any are given the time that a first reading takes
		return cluster.AddonDegraded, "no node has given figures yet", nil
	}
	var missing []string
	for name, times := range f.gaps {
		if times >= toleratedGaps && slices.Contains(ready, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return cluster.AddonRunning, "", nil
	}
	slices.Sort(missing)
	return cluster.AddonDegraded, fmt.Sprintf("%d of %d nodes have no figures: %s", len(missing), len(ready), strings.Join(missing, ", ")),
		[]cluster.Advice{cluster.Advise("see what its kubelet says", cluster.Kubectl("get", "--raw").On("/api/v1/nodes/"+missing[0]+"/proxy/metrics/resource"))}
}
