package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/nodeimages"
)

// imagesLimit bounds the copying of all images. They may be large, but the start waits for them.
const imagesLimit = 10 * time.Minute

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
	have, err := nodeimages.List(ctx, o.driver, running)
	if err != nil {
		o.rec.warnOf("images", err)
		return
	}
	o.removeImages(ctx, have, nodes, removed)
	if len(targets) == 0 {
		return
	}
	transfers, lost := nodeimages.Transfers(have, targets, slices.Collect(maps.Keys(sources)))
	of := func(names []string) (list []node.Container) {
		for _, n := range names {
			list = append(list, nodes[n])
		}
		return list
	}
	for _, t := range transfers {
		o.imageStep(t.To, func() error { return nodeimages.Copy(ctx, o.driver, nodes[t.From], of(t.To), t.Names) })
	}
	for _, name := range lost { // one that the engine no longer has does not affect the others
		if s := sources[name]; !s.Engine {
			f := fault.Newf(fault.Image, "image %s was loaded from an archive, and no node has it any more", name)
			f.Advice = []cluster.Advice{loadAgain(s.File)}
			o.rec.warnOf("images", f)
			continue
		}
		o.imageStep(targets, func() error {
			_, err := nodeimages.FromEngine(ctx, o.driver, of(targets), []string{name})
			return err
		})
	}
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
