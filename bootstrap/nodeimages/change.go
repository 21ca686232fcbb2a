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

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// FullName completes the name of an image as pods and containerd do: "app" is docker.io/library/app:latest.
func FullName(ref string) string {
	name := ref
	first, _, hasSlash := strings.Cut(name, "/")
	switch {
	case !hasSlash:
		name = "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		name = "docker.io/" + name
	case first == "docker.io" && strings.Count(name, "/") == 1:
		name = "docker.io/library/" + strings.TrimPrefix(name, "docker.io/")
	}
	base, digest, byDigest := strings.Cut(name, "@")
	tagged := strings.Contains(base[strings.LastIndex(base, "/")+1:], ":")
	switch {
	case byDigest && tagged: // the digest decides
		return base[:strings.LastIndex(base, ":")] + "@" + digest
	case byDigest || tagged:
		return name
	}
	return name + ":latest"
}

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

// Save writes images of one node as an archive that Load and "docker load" read.
func Save(ctx context.Context, d Driver, from node.Container, names []string, w io.Writer) error {
	_, err := run(ctx, d, from, w, slices.Concat([]string{"export", "-a"}, names)...)
	return explain(fault.Node, "read images of "+from.Node, err)
}

// HoldsAll returns the first node that has all names, which are complete, or the names that no node has; neither, if only
// several nodes together have them.
func HoldsAll(ctx context.Context, d Driver, nodes []node.Container, names []string) (holder *node.Container, missing []string, err error) {
	have, err := List(ctx, d, nodes)
	if err != nil {
		return nil, nil, err
	}
	found := map[string]bool{}
	for _, n := range nodes {
		all := true
		for _, name := range names {
			has := false
			for _, i := range have[n.Node] {
				has = has || i.Name == name
			}
			found[name] = found[name] || has
			all = all && has
		}
		if all && holder == nil {
			holder = &n
		}
	}
	for _, name := range names {
		if !found[name] {
			missing = append(missing, name)
		}
	}
	return holder, missing, nil
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
func explain(kind fault.Kind, op string, err error) error {
	if _, ok := errors.AsType[*fault.Fault](err); ok || err == nil {
		return err
	}
	return fault.New(kind, op, err)
}
