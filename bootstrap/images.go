package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
	"bonsai/bootstrap/plan"
	"bonsai/bootstrap/statedir"
)

// imagesLimit bounds the copying of all images. They may be large, but the start waits for them.
const imagesLimit = 10 * time.Minute

// awaitImages decides which nodes get images before they run pods: those whose containers are new, because the others have
// theirs. It costs nothing where nothing was loaded.
func (o *operation) awaitImages(nodes []cluster.Node) {
	o.held, o.arrived, o.filled = map[string]bool{}, nil, false // an attempt before this one may have failed
	if len(o.state.LoadedImages()) == 0 {
		return
	}
	for _, n := range nodes {
		if _, had := o.containerOf(n.Name); !had {
			o.held[n.Name] = true
		}
	}
}

// bringImages fills nodes while their pods wait for it, and lets these go on. Whatever happens to the images, they do.
func (o *operation) bringImages(ctx context.Context) error {
	if len(o.held) == 0 {
		return nil
	}
	o.fillImages(ctx)
	payload, err := o.env.Payload()
	if err != nil {
		return err
	}
	held := o.held
	o.held, o.filled = nil, true
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range o.Wanted.Spec.Nodes {
		if held[n.Name] && !slices.Contains(o.arrived, n.Name) {
			g.Go(func() error { return o.ensureNode(gctx, o.Wanted.Spec, n, payload) })
		}
	}
	return g.Wait()
}

// fillImages gives nodes the images that "image load" brought before they existed: nodes that this run added or
// recreated, and all of a running cluster, which a start repairs. Without them the nodes work, so trouble is a warning.
func (o *operation) fillImages(ctx context.Context) {
	sources, removed := o.state.LoadedImages(), o.state.RemovedImages()
	if len(sources)+len(removed) == 0 {
		return // and no node is asked, so that this costs nothing where nothing was loaded
	}
	ctx, cancel := o.limit(ctx, imagesLimit, "images that were loaded before to be copied")
	defer cancel()
	now, err := o.driver.List(ctx, o.Wanted.Spec.ID)
	if err != nil {
		o.rec.warnOf("images", err)
		return
	}
	nodes := map[string]node.Container{}
	var running []node.Container
	var targets []string
	for _, c := range now {
		if !c.Running || !slices.ContainsFunc(o.wantedNodes(), func(n cluster.Node) bool { return n.Name == c.Node }) {
			continue
		}
		nodes[c.Node] = c
		running = append(running, c)
		if o.Current.Running || !slices.ContainsFunc(o.containers, func(b node.Container) bool { return b.ID == c.ID }) {
			targets = append(targets, c.Node)
		}
	}
	if len(targets) == 0 && len(removed) == 0 {
		return
	}
	// Nodes of a new cluster have nothing, which need not be asked: in one that was forked, or comes from a file, pods wait.
	isNew, have := o.Has(plan.KindCreate), map[string][]cluster.NodeImage{}
	if !isNew {
		if have, err = nodeimages.List(ctx, o.driver, running); err != nil {
			o.rec.warnOf("images", err)
			return
		}
	}
	o.removeImages(ctx, have, nodes, removed)
	if len(targets) == 0 {
		return
	}
	store := imagestore.New(o.env.Dir.ImageStore())
	release, err := store.Use(ctx)
	if err != nil {
		o.rec.warnOf("images", err)
		return
	}
	defer release()
	f := &filler{operation: o, store: store, nodes: nodes, sources: sources, isNew: isNew}
	f.fill(ctx, have, targets)
}

// filler gives nodes images. Trouble with one image does not affect the others.
type filler struct {
	*operation
	store   imagestore.Store
	nodes   map[string]node.Container
	sources map[string]statedir.ImageSource
	isNew   bool // the cluster is
}

func (f *filler) fill(ctx context.Context, have map[string][]cluster.NodeImage, targets []string) {
	recorded := map[string]string{}
	for name, s := range f.sources {
		recorded[name] = s.Target
	}
	fill := nodeimages.Fill(have, targets, recorded, f.store.Has)
	for _, from := range slices.Sorted(maps.Keys(fill.Adoptions)) {
		f.imageStep([]string{from}, func() error { return f.adopt(ctx, f.nodes[from], fill.Adoptions[from], recorded) })
	}
	// Of several, no node knows which is its last: the configuration says that they are there.
	last := len(fill.Deliveries) == 1 && len(fill.Lost) == 0
	for _, d := range fill.Deliveries {
		f.imageStep(d.To, func() error {
			err := f.deliver(ctx, d, recorded, last)
			if err == nil && last {
				f.arrived = d.To
			}
			return err
		})
	}
	for _, name := range fill.Lost {
		f.findAgain(ctx, name, targets)
	}
}

// adopt brings into the store what only a node has, and records it.
func (f *filler) adopt(ctx context.Context, from node.Container, names []string, recorded map[string]string) error {
	found, err := nodeimages.Adopt(ctx, f.driver, f.store, from, names)
	if err != nil {
		return err
	}
	known := map[string]statedir.ImageSource{}
	for name, target := range found {
		recorded[name] = target
		s := f.sources[name]
		s.Target = target
		known[name] = s
	}
	return f.state.RecordImages(ctx, known)
}

func (f *filler) deliver(ctx context.Context, d nodeimages.Delivery, recorded map[string]string, last bool) error {
	targets := map[string]string{}
	for _, name := range d.Names {
		if f.store.Has(recorded[name]) { // or its adoption has failed, which is reported
			targets[name] = recorded[name]
		}
	}
	images, err := nodeimages.Stored(f.store, targets)
	if err != nil {
		return err
	}
	return nodeimages.Deliver(ctx, f.driver, f.store, f.containersOf(d.To), images, nodeimages.Options{New: f.isNew, Last: last, Log: f.env.Log})
}

func (f *filler) containersOf(names []string) (list []node.Container) {
	for _, n := range names {
		list = append(list, f.nodes[n])
	}
	return list
}

// findAgain loads an image that neither the store nor a node has from the engine, if it came from there.
func (f *filler) findAgain(ctx context.Context, name string, targets []string) {
	s := f.sources[name]
	if !s.Engine {
		fault := fault.Newf(fault.Image, "image %s was loaded from an archive, and no node has it any more", name)
		fault.Advice = []cluster.Advice{loadAgain(s.File)}
		f.rec.warnOf("images", fault)
		return
	}
	f.imageStep(targets, func() error {
		images, err := nodeimages.FromEngine(ctx, f.driver, f.store, f.containersOf(targets), []string{name}, f.env.Log)
		if err != nil {
			return err
		}
		if err := nodeimages.Deliver(ctx, f.driver, f.store, f.containersOf(targets), images, nodeimages.Options{New: f.isNew, Log: f.env.Log}); err != nil {
			return err
		}
		return f.state.RecordImages(ctx, RecordOf(images, s))
	})
}

// RecordOf is what is remembered of images, under each of their names.
func RecordOf(images []nodeimages.Image, source statedir.ImageSource) map[string]statedir.ImageSource {
	record := map[string]statedir.ImageSource{}
	for _, i := range images {
		source.Target = i.Target.Digest
		for _, name := range i.Names {
			record[name] = source
		}
	}
	return record
}

// removeImages removes from nodes, and from have, what "image rm" removed while they did not run.
func (o *operation) removeImages(ctx context.Context, have map[string][]cluster.NodeImage, nodes map[string]node.Container, removed map[string]time.Time) {
	for name, list := range have {
		var gone []string
		have[name] = slices.DeleteFunc(list, func(i cluster.NodeImage) bool {
			at, was := removed[i.Name]
			was = was && i.Loaded && i.Updated.Before(at)
			if was {
				gone = append(gone, i.Name)
			}
			return was
		})
		if len(gone) == 0 {
			continue
		}
		o.imageStep([]string{name}, func() error {
			_, err := nodeimages.Remove(ctx, o.driver, []node.Container{nodes[name]}, gone)
			return err
		})
	}
}

func loadAgain(file string) cluster.Advice {
	if file == "" {
		return cluster.Advise("load it again", cluster.Bonsai("image", "load", "ARCHIVE").Fill("ARCHIVE").Change())
	}
	return cluster.Advise("load it again", cluster.Bonsai("image", "load").On(file).Change())
}

// imageStep runs f as a step that does not fail the start.
func (o *operation) imageStep(to []string, f func() error) {
	id := "images/" + to[0]
	_ = o.rec.step(id, "Images of "+strings.Join(to, ", "), func(func(string)) error {
		if err := f(); err != nil {
			o.rec.warnOf(id, fmt.Errorf("images that were loaded or removed before are not as they should be: %w", err))
		}
		return nil
	})
}
