package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/diskuse"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/imagestore"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

// measureLimit bounds the reading of the folders of one cluster, and of one node.
const measureLimit = 2 * time.Minute

// DiskUse measures what all clusters take on this machine and in the engine. What cannot be measured is named in Unseen.
func (m *Manager) DiskUse(ctx context.Context) (use cluster.DiskUse, err error) {
	names, err := m.List()
	if err != nil {
		return use, err
	}
	e := m.measureEngine(ctx)
	defer e.close()
	if e.err != nil {
		use.Unseen = append(use.Unseen, "the container engine: "+e.err.Error())
	}
	own := map[string]bool{}
	for _, name := range names {
		state := m.env.Dir.Cluster(name)
		id := state.ID()
		own[id] = true
		items, err := m.folderUse(ctx, state)
		if err != nil {
			return use, err
		}
		use.Items = append(use.Items, items...)
		inNodes, unseen := m.nodeUse(ctx, e, id)
		for i := range inNodes {
			inNodes[i].Cluster = name
		}
		use.Items, use.Unseen = append(use.Items, inNodes...), append(use.Unseen, unseen...)
	}
	use.Items = append(use.Items, e.foreign(own)...)
	shared, err := m.sharedUse(e)
	if err != nil {
		return use, err
	}
	use.Items = append(use.Items, shared...)
	use.Sum()
	return use, context.Cause(ctx)
}

// folderUse measures the folder of a cluster.
func (m *Manager) folderUse(ctx context.Context, state statedir.Cluster) (items []cluster.DiskItem, err error) {
	ctx, cancel := m.limit(ctx, measureLimit, "the size of a folder")
	defer cancel()
	add := func(kind, name, path string) error {
		n, err := diskuse.Of(ctx, path)
		if err == nil && n > 0 {
			items = append(items, cluster.DiskItem{Cluster: state.Name, Kind: kind, Name: name, Bytes: n})
		}
		return err
	}
	err = errors.Join(add(cluster.DiskEtcd, "", state.Etcd()), add(cluster.DiskLogs, "", state.Logs()), add(cluster.DiskHistory, "", state.History()))
	checkpoints := CheckpointsOf(state)
	list, listErr := checkpoints.List()
	if listErr != nil {
		return items, checkpointFault(state, "list checkpoints", "", listErr)
	}
	for _, c := range list {
		err = errors.Join(err, add(cluster.DiskCheckpoint, c.Name, filepath.Join(checkpoints.Path, c.Name)))
		if n := len(items); n > 0 && items[n-1].Kind == cluster.DiskCheckpoint {
			items[n-1].Note, items[n-1].Offered = c.Reason, c.Automatic()
		}
	}
	rest, restErr := diskuse.Of(ctx, state.Dir())
	for _, i := range items {
		rest -= i.Bytes
	}
	if rest > 0 {
		items = append(items, cluster.DiskItem{Cluster: state.Name, Kind: cluster.DiskState, Bytes: rest})
	}
	return items, errors.Join(err, restErr)
}

// measuredEngine is what the engine has measured.
type measuredEngine struct {
	driver node.Driver
	uses   []node.Use
	// running are containers of nodes that can be asked.
	running []node.Container
	err     error
}

func (m *Manager) measureEngine(ctx context.Context) *measuredEngine {
	e := &measuredEngine{}
	keep := ""
	payload, err := m.env.Payload()
	if err == nil {
		keep = payload.Hash
	}
	if e.driver, e.err = m.env.Driver(); e.err != nil {
		return e
	}
	if e.uses, e.err = e.driver.DiskUse(ctx, keep); e.err != nil {
		return e
	}
	if keep == "" { // such an executable cannot know what others need
		for i := range e.uses {
			e.uses[i].Prunable = false
		}
	}
	e.running, e.err = e.driver.List(ctx, "")
	e.running = slices.DeleteFunc(e.running, func(c node.Container) bool { return !c.Running })
	return e
}

func (e *measuredEngine) close() {
	if e.driver != nil {
		_ = e.driver.Close()
	}
}

// item is what the engine has measured of an object, with what bonsai calls it.
func item(u node.Use, kind string) cluster.DiskItem {
	i := cluster.DiskItem{Cluster: u.Cluster, Node: u.Node, Kind: kind, Name: u.Name, Bytes: max(0, u.Bytes), Prunable: u.Prunable}
	if u.Bytes < 0 {
		i.Note = "the engine does not know its size"
	}
	return i
}

// nodeUse is what the nodes of a cluster take: their volumes and containers by the engine, and what is in them by their agents.
func (m *Manager) nodeUse(ctx context.Context, e *measuredEngine, id string) (items []cluster.DiskItem, unseen []string) {
	nodes := map[string][]cluster.DiskItem{}
	for _, u := range e.uses {
		switch {
		case u.ClusterID != id || id == "":
		case u.Kind == node.UseContainer && u.Bytes > 0: // before the volume, which is followed by what is in it
			nodes[u.Node] = append([]cluster.DiskItem{item(u, cluster.DiskContainer)}, nodes[u.Node]...)
		case u.Kind == node.UseVolume:
			nodes[u.Node] = append(nodes[u.Node], item(u, cluster.DiskVolume))
		}
	}
	var mu sync.Mutex // guards nodes and unseen
	var wg sync.WaitGroup
	for _, c := range e.running {
		if c.ClusterID != id || id == "" {
			continue
		}
		wg.Go(func() {
			inside, err := m.insideNode(ctx, e.driver, c)
			mu.Lock()
			defer mu.Unlock()
			nodes[c.Node] = append(nodes[c.Node], inside...)
			if err != nil {
				unseen = append(unseen, fmt.Sprintf("what is in node %s: %v", c.Node, err))
			}
		})
	}
	wg.Wait()
	order := slices.SortedFunc(maps.Keys(nodes), func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	for _, name := range order {
		items = append(items, nodes[name]...)
	}
	slices.Sort(unseen)
	return items, unseen
}

// insideNode asks the agent of a node.
func (m *Manager) insideNode(ctx context.Context, driver node.Driver, c node.Container) (items []cluster.DiskItem, err error) {
	d, err := m.nodeDisk(ctx, driver, c)
	if err != nil {
		return nil, err
	}
	part := func(kind, name string, bytes int64) *cluster.DiskItem {
		items = append(items, cluster.DiskItem{Cluster: c.Cluster, Node: c.Node, Kind: kind, Name: name, Bytes: bytes, Part: true})
		return &items[len(items)-1]
	}
	part(cluster.DiskImages, "", d.ImageBytes)
	for _, i := range d.Images {
		p := part(cluster.DiskImage, imageName(i.Names), i.Bytes)
		p.Offered = unused(i)
		switch {
		case p.Offered:
			p.Note = "no container uses it"
		case !i.Used:
			p.Note = "kept, although no container uses it"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Volumes)) {
		part(cluster.DiskClaim, name, d.Volumes[name])
	}
	part(cluster.DiskLogs, "", d.LogBytes)
	return items, nil
}

// unused reports whether an image was pulled, and no container is of it: the next pod that needs it pulls it again.
func unused(i cluster.NodeDiskImage) bool { return !i.Used && !i.Kept && len(i.Names) > 0 }

// imageName is the name of an image that people know best: with a tag, where it has one.
func imageName(names []string) string {
	for _, n := range names {
		if !strings.Contains(n, "@") {
			return n
		}
	}
	return strings.Join(names[:min(1, len(names))], "")
}

func (m *Manager) nodeDisk(ctx context.Context, driver node.Driver, c node.Container) (d cluster.NodeDisk, err error) {
	ctx, cancel := m.limit(ctx, measureLimit, "the size of a node's folders")
	defer cancel()
	var out, said bytes.Buffer
	code, err := driver.Exec(ctx, c.Name, node.Exec{Cmd: []string{"bonsai-agent", "disk"}, Stdout: &out, Stderr: &said})
	switch {
	case err != nil:
		return d, err
	case code != 0:
		return d, fault.New(fault.Node, "measure node "+c.Node, errors.New(cmp.Or(strings.TrimSpace(said.String()), fmt.Sprintf("exit code %d", code))))
	}
	return d, json.Unmarshal(out.Bytes(), &d)
}

// foreign is what the engine has of clusters that are not in this state folder.
func (e *measuredEngine) foreign(own map[string]bool) (items []cluster.DiskItem) {
	for _, u := range e.uses {
		if u.ClusterID == "" || own[u.ClusterID] || u.Bytes == 0 {
			continue
		}
		i := item(u, map[string]string{node.UseVolume: cluster.DiskVolume, node.UseContainer: cluster.DiskContainer, node.UseImage: cluster.DiskNodeImage}[u.Kind])
		i.Foreign = true
		items = append(items, i)
	}
	slices.SortStableFunc(items, func(a, b cluster.DiskItem) int { return cmp.Compare(a.Cluster, b.Cluster) })
	return items
}

// sharedUse is what all clusters share: the image store, and the software of nodes.
func (m *Manager) sharedUse(e *measuredEngine) (items []cluster.DiskItem, err error) {
	total, images, err := ImageUsage(m.env.Dir)
	if err != nil {
		return nil, fault.New(fault.State, "measure the image store", err)
	}
	if total > 0 {
		items = append(items, cluster.DiskItem{Kind: cluster.DiskStore, Bytes: total})
	}
	var targets []string
	for _, i := range images {
		targets = append(targets, i.Target)
		items = append(items, cluster.DiskItem{Kind: cluster.DiskImage, Name: imageName(i.Names), Bytes: i.Bytes, Part: true, Note: "loaded into " + strings.Join(i.Clusters, ", ")})
	}
	unneeded, err := imagestore.New(m.env.Dir.ImageStore()).Unneeded(targets)
	if err != nil {
		return nil, fault.New(fault.State, "measure the image store", err)
	}
	if unneeded > 0 {
		items = append(items, cluster.DiskItem{Kind: cluster.DiskUnfinished, Bytes: unneeded, Part: true, Prunable: true, Note: "no cluster needs it"})
	}
	for _, u := range e.uses {
		if u.ClusterID != "" || u.Payload == "" {
			continue
		}
		kind := cluster.DiskSoftware
		if u.Kind == node.UseImage {
			kind = cluster.DiskNodeImage
		}
		if u.Bytes == 0 && !u.Prunable {
			continue // the label that names the volume
		}
		i := item(u, kind)
		if i.Prunable {
			i.Note = "of another version of bonsai, or unfinished"
		}
		items = append(items, i)
	}
	return items, nil
}

// PruneWish says what is removed besides what nothing needs: parts of one cluster, which have to be asked for.
type PruneWish struct {
	// Cluster is the name of the cluster that Images and Checkpoints are about.
	Cluster string
	// Images removes from its nodes images that were pulled and that no container uses.
	Images bool
	// Checkpoints removes the checkpoints that bonsai took itself.
	Checkpoints bool
	// DryRun only says what would be removed.
	DryRun bool
}

// Prune removes what nothing needs, and what is asked for of one cluster, and returns it. The error joins what could not be
// removed.
func (m *Manager) Prune(ctx context.Context, w PruneWish) (removed []cluster.DiskItem, err error) {
	if w.Images || w.Checkpoints {
		if _, err := m.env.Dir.Cluster(w.Cluster).LoadSpec(); err != nil {
			return nil, err
		}
	}
	use, err := m.DiskUse(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range use.Items {
		named := i.Cluster == w.Cluster && i.Offered && !i.Foreign
		if i.Prunable || named && (w.Images && i.Kind == cluster.DiskImage || w.Checkpoints && i.Kind == cluster.DiskCheckpoint) {
			removed = append(removed, i)
		}
	}
	if w.DryRun || len(removed) == 0 {
		return removed, nil
	}
	return m.prune(ctx, removed)
}

// prune removes the items, and returns those that are gone.
func (m *Manager) prune(ctx context.Context, items []cluster.DiskItem) (removed []cluster.DiskItem, err error) {
	done := map[string]error{} // of what is removed all at once
	once := func(what string, remove func() error) error {
		if err, tried := done[what]; tried {
			return err
		}
		done[what] = remove()
		return done[what]
	}
	var errs []error
	for _, i := range items {
		var err error
		switch i.Kind {
		case cluster.DiskUnfinished:
			err = once(i.Kind, func() error { _, err := CollectImages(ctx, m.env.Dir); return err })
		case cluster.DiskSoftware, cluster.DiskNodeImage:
			err = once(cluster.DiskSoftware, func() error { return m.prunePayloads(ctx) })
		case cluster.DiskCheckpoint:
			err = m.DeleteCheckpoint(ctx, i.Cluster, i.Name)
		case cluster.DiskImage:
			err = once(i.Cluster+"/"+i.Node, func() error { return m.pruneImages(ctx, i.Cluster, i.Node) })
		default:
			continue
		}
		if err == nil {
			removed = append(removed, i)
		} else if !slices.ContainsFunc(errs, func(e error) bool { return errors.Is(e, err) }) {
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}

// pruneImages removes from a node the images that are unused now.
func (m *Manager) pruneImages(ctx context.Context, name, nodeName string) error {
	spec, err := m.env.Dir.Cluster(name).LoadSpec()
	if err != nil {
		return err
	}
	driver, err := m.env.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	containers, err := node.ByName(ctx, driver, spec.ID)
	if err != nil {
		return err
	}
	c, ok := containers[nodeName]
	if !ok {
		return node.Gone(spec, nodeName)
	}
	d, err := m.nodeDisk(ctx, driver, c)
	if err != nil {
		return err
	}
	cmd := []string{"bonsai-agent", "images", "rm"}
	for _, i := range d.Images {
		if unused(i) {
			cmd = append(cmd, i.Names...)
		}
	}
	if len(cmd) == 3 {
		return nil
	}
	var said bytes.Buffer
	code, err := driver.Exec(ctx, c.Name, node.Exec{Cmd: cmd, Stderr: &said})
	if err == nil && code != 0 {
		err = fault.New(fault.Image, "remove images from node "+nodeName, errors.New(strings.TrimSpace(said.String())))
	}
	return err
}
