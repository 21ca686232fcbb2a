package nodeimages

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
)

// Filling is what has to be done so that nodes have all images that were loaded.
type Filling struct {
	// Deliveries are what nodes get from the store.
	Deliveries []Delivery
	// Adoptions are names of images that the store does not have, by the node to take them from: another program loaded them
	// there, or an older version of bonsai.
	Adoptions map[string][]string
	// Lost are recorded names that nobody has.
	Lost []string
}

// Delivery is a set of names that the same nodes lack.
type Delivery struct {
	To    []string
	Names []string
}

// Fill plans how nodes get what was loaded. have are the images of all nodes that run; targets are those that should be
// complete; recorded is what names lead to, as far as that is known; stored says whether the store has it.
func Fill(have map[string][]cluster.NodeImage, targets []string, recorded map[string]string, stored func(target string) bool) (f Filling) {
	f.Adoptions = map[string][]string{}
	wanted := map[string]string{}
	newest := map[string]cluster.NodeImage{}
	source := map[string]string{}
	for _, n := range slices.Sorted(maps.Keys(have)) {
		for _, i := range have[n] {
			if old, ok := newest[i.Name]; i.Loaded && (!ok || i.Updated.After(old.Updated)) {
				newest[i.Name], source[i.Name] = i, n
			}
		}
	}
	for name, target := range recorded {
		if _, ok := newest[name]; target != "" && stored(target) {
			wanted[name] = target
		} else if !ok && !pulled(have, targets, name) {
			f.Lost = append(f.Lost, name)
		}
	}
	lacking := map[string][]string{} // names by nodes
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		if wanted[name] == "" {
			wanted[name] = newest[name].Target
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		var to []string
		for _, n := range slices.Sorted(slices.Values(targets)) {
			if !slices.ContainsFunc(have[n], func(i cluster.NodeImage) bool { return i.Name == name && i.Target == wanted[name] }) {
				to = append(to, n)
			}
		}
		if len(to) == 0 {
			continue
		}
		key := strings.Join(to, "\n")
		lacking[key] = append(lacking[key], name)
		if !stored(wanted[name]) {
			f.Adoptions[source[name]] = append(f.Adoptions[source[name]], name)
		}
	}
	for nodes, names := range lacking {
		f.Deliveries = append(f.Deliveries, Delivery{To: strings.Split(nodes, "\n"), Names: names})
	}
	slices.SortFunc(f.Deliveries, func(a, b Delivery) int { return slices.Compare(a.To, b.To) })
	slices.SortFunc(f.Lost, func(a, b string) int { return cmp.Compare(a, b) })
	return f
}

// pulled reports whether all targets have a name that nobody loaded, since they have pulled it.
func pulled(have map[string][]cluster.NodeImage, targets []string, name string) bool {
	return !slices.ContainsFunc(targets, func(n string) bool {
		return !slices.ContainsFunc(have[n], func(i cluster.NodeImage) bool { return i.Name == name })
	})
}

// Adopt stores images of a node, which has all of their layers, and returns what each name leads to. Call the store's Use
// first.
func Adopt(ctx context.Context, d Driver, store imagestore.Store, from node.Container, names []string) (map[string]string, error) {
	r, w := io.Pipe()
	exported := make(chan error, 1)
	go func() {
		_, err := run(ctx, d, from, w, slices.Concat([]string{"export"}, names)...)
		_ = w.CloseWithError(err) // nil reads as the end
		exported <- err
	}()
	archived, err := store.ReadArchive(r)
	_ = r.CloseWithError(errImportEnded)
	if exportErr := <-exported; exportErr != nil && !errors.Is(exportErr, errImportEnded) {
		err = exportErr
	}
	if err != nil {
		return nil, explain(fault.Node, "read images of node "+from.Node, err)
	}
	targets := map[string]string{}
	for _, a := range archived {
		for _, tag := range a.Tags {
			targets[tag] = a.Target
		}
	}
	return targets, nil
}

// errImportEnded is what the writing side gets from a reader that accepts no more.
var errImportEnded = errors.New("the import has ended")

// Stored returns images of the store by what their names lead to.
func Stored(store imagestore.Store, targets map[string]string) (images []Image, err error) {
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if n := slices.IndexFunc(images, func(i Image) bool { return i.Target.Digest == targets[name] }); n >= 0 {
			images[n].Names = append(images[n].Names, name)
			continue
		}
		i, err := complete(store, targets[name])
		if err != nil {
			return nil, explain(fault.State, "read image "+name+" from the image store", err)
		}
		images = append(images, Image{i, []string{name}})
	}
	return images, nil
}
