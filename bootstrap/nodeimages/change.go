package nodeimages

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
)

// Remove removes names from nodes, and returns what each node removed, by the node's name. A node that does not have a name
// removes nothing.
func Remove(ctx context.Context, d Driver, nodes []node.Container, refs []string) (map[string][]string, error) {
	removed, errs := make([][]string, len(nodes)), make([]error, len(nodes))
	each(nodes, func(i int, n node.Container) {
		out, err := run(ctx, d, n, nil, slices.Concat([]string{"rm"}, refs)...)
		if err == nil {
			err = json.Unmarshal(out, &removed[i])
		}
		errs[i] = explain(fault.Node, "remove images of "+n.Node, err)
	})
	byNode := map[string][]string{}
	for i, n := range nodes {
		byNode[n.Node] = removed[i]
	}
	return byNode, errors.Join(errs...)
}

// Pull has nodes pull images, all at once, as for a pod: with the mirrors, credentials and proxy of the cluster. done is called
// for each node that has all of them, one call at a time; it may be nil.
func Pull(ctx context.Context, d Driver, nodes []node.Container, refs []string, done func(node string)) error {
	errs := make([]error, len(nodes))
	var one sync.Mutex
	each(nodes, func(i int, n node.Container) {
		_, err := run(ctx, d, n, nil, slices.Concat([]string{"pull"}, refs)...)
		if errs[i] = explain(fault.Image, "pull images on "+n.Node, err); err == nil && done != nil {
			one.Lock()
			defer one.Unlock()
			done(n.Node)
		}
	})
	return errors.Join(errs...)
}

// Gather stores the images that nodes have under names, which are complete, unless the store has them: those that were loaded are
// there, and those that were pulled come from the first node that has them. missing are the names that no node has. Call the
// store's Use first.
func Gather(ctx context.Context, d Driver, store imagestore.Store, nodes []node.Container, names []string) (images []Image, missing []string, err error) {
	have, err := List(ctx, d, nodes)
	if err != nil {
		return nil, nil, err
	}
	targets := map[string]string{}
	for _, name := range names {
		for _, n := range nodes {
			i := slices.IndexFunc(have[n.Node], func(i cluster.NodeImage) bool { return i.Name == name })
			if i < 0 {
				continue
			}
			targets[name] = have[n.Node][i].Target
			if _, err := complete(store, targets[name]); err != nil {
				if _, err := Adopt(ctx, d, store, n, []string{name}); err != nil {
					return nil, nil, err
				}
			}
			break
		}
		if targets[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, missing, nil
	}
	images, err = Stored(store, targets)
	return images, nil, err
}

// Save writes images of the store as an archive that "image load" and "docker load" read.
func Save(store imagestore.Store, images []Image, w io.Writer) error {
	var list []imagestore.Image
	var names [][]string
	for _, i := range images {
		list, names = append(list, i.Image), append(names, i.Names)
	}
	return explain(fault.Output, "write the archive", store.WriteArchive(w, list, names))
}

// each runs f for all nodes at once, and waits.
func each(nodes []node.Container, f func(i int, n node.Container)) {
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { f(i, n) })
	}
	wg.Wait()
}

// run runs "bonsai-agent images" in a node and returns its output, unless that goes to w.
func run(ctx context.Context, d Driver, n node.Container, w io.Writer, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	if w == nil {
		w = &stdout
	}
	code, err := d.Exec(ctx, n.Name, node.Exec{Cmd: slices.Concat([]string{"bonsai-agent", "images"}, args), Stdout: w, Stderr: &stderr})
	if err == nil && code != 0 {
		err = errors.New(strings.TrimPrefix(lastLine(stderr.String()), "bonsai-agent: "))
	}
	return stdout.Bytes(), err
}

// explain turns an error that is not a fault into one.
func explain(kind fault.Kind, op string, err error, advice ...cluster.Advice) error {
	if _, ok := errors.AsType[*fault.Fault](err); ok || err == nil {
		return err
	}
	f := fault.New(kind, op, err)
	f.Advice = append(f.Advice, advice...)
	return f
}
