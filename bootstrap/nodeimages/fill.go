package nodeimages

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// Transfer is a set of names that some nodes lack and one node has.
type Transfer struct {
	From  string
	To    []string
	Names []string
}

// Transfers plans how nodes get what "image load" brought to others. have are the images of all nodes that run; targets are
// those that should be complete. A name that was loaded again later, while a node was away, is copied to that node. lost
// are the names in loaded that no node has, which targets lack.
func Transfers(have map[string][]cluster.NodeImage, targets, loaded []string) (transfers []Transfer, lost []string) {
	type place struct {
		node  string
		image cluster.NodeImage
	}
	newest := map[string]place{}
	for _, n := range slices.Sorted(maps.Keys(have)) {
		for _, i := range have[n] {
			if p, ok := newest[i.Name]; i.Loaded && (!ok || i.Updated.After(p.image.Updated)) {
				newest[i.Name] = place{n, i}
			}
		}
	}
	// One archive serves all nodes that lack the same names.
	lacking := map[string]map[string][]string{} // by source, then by names, the nodes
	for _, n := range slices.Sorted(slices.Values(targets)) {
		missing := map[string][]string{} // by source
		for name, p := range newest {
			if !slices.ContainsFunc(have[n], func(i cluster.NodeImage) bool { return i.Name == name && i.Target == p.image.Target }) {
				missing[p.node] = append(missing[p.node], name)
			}
		}
		for source, names := range missing {
			slices.Sort(names)
			if lacking[source] == nil {
				lacking[source] = map[string][]string{}
			}
			key := strings.Join(names, "\n")
			lacking[source][key] = append(lacking[source][key], n)
		}
	}
	for source, sets := range lacking {
		for names, to := range sets {
			transfers = append(transfers, Transfer{From: source, To: to, Names: strings.Split(names, "\n")})
		}
	}
	slices.SortFunc(transfers, func(a, b Transfer) int {
		return cmp.Or(cmp.Compare(a.From, b.From), slices.Compare(a.To, b.To), slices.Compare(a.Names, b.Names))
	})
	for _, name := range loaded {
		if _, ok := newest[name]; !ok && !pulled(have, targets, name) {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return transfers, lost
}

// pulled reports whether all targets have a name that nobody loaded, since they have pulled it.
func pulled(have map[string][]cluster.NodeImage, targets []string, name string) bool {
	return !slices.ContainsFunc(targets, func(n string) bool {
		return !slices.ContainsFunc(have[n], func(i cluster.NodeImage) bool { return i.Name == name })
	})
}

// Copy streams images from one node into others.
func Copy(ctx context.Context, d Driver, from node.Container, to []node.Container, names []string) error {
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		var stderr bytes.Buffer
		code, err := d.Exec(ctx, from.Name, node.Exec{Cmd: append([]string{"bonsai-agent", "images", "export"}, names...), Stdout: w, Stderr: &stderr})
		if err == nil && code != 0 {
			err = errors.New(lastLine(stderr.String()))
		}
		_ = w.CloseWithError(err) // nil reads as the end
		exported <- err
	}()
	_, err := Load(ctx, d, to, r, nil)
	_ = r.CloseWithError(errImportEnded)
	if exportErr := <-exported; exportErr != nil && !errors.Is(exportErr, errImportEnded) {
		return fault.New(fault.Node, "read images of node "+from.Node, exportErr)
	}
	return err
}
