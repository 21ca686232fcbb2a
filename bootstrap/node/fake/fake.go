// Package fake is a container engine in memory: a node.Driver for tests of what drives nodes. It passes nodetest,
// keeps containers, networks, volumes and payloads as the real one does, and fails where its Hook says so.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/node"
)

// Engine implements node.Driver. Its zero value is an empty engine; Close does nothing, so that several users
// may share one. Set the exported fields before the first use.
type Engine struct {
	// Hook runs before each operation ("EnsureNode" of "bonsai-1"); its error is the operation's. It may block.
	Hook func(ctx context.Context, op, object string) error
	// Info is Ping's answer; a zero one is filled with something likely.
	Info node.EngineInfo
	// Images are what the engine has besides those of nodes.
	Images []node.Image
	// Archive is what SaveImages reads.
	Archive []byte
	// Commands runs what Exec is asked for; nil runs package guest on the container's files.
	Commands func(container string, e node.Exec) (int, error)

	mu         sync.Mutex // guards what follows
	containers map[string]*container
	networks   map[string]*network
	volumes    map[string]*volume
	payloads   map[string]bool // hash → may be pruned
	serial     int
	calls      []string
}

var _ node.Driver = (*Engine)(nil)

type container struct {
	node.Container
	foreign  bool
	settings string
	cpus     float64
	memory   int64
	root     files
	log      string
	stopped  chan struct{} // closed when it stops
}

type network struct {
	node.Network
	cluster string
	gateway netip.Addr
	mtu     int
}

// volume is the /var of a node.
type volume struct {
	id, cluster, node string
	files             files
}

type file struct {
	mode fs.FileMode
	data []byte
}

type files map[string]file

// begin is the start of each operation: the hook, then the lock, which the returned function releases.
func (e *Engine) begin(ctx context.Context, op, object string) (func(), error) {
	e.mu.Lock()
	e.calls = append(e.calls, strings.TrimSpace(op+" "+object))
	e.mu.Unlock()
	what := strings.TrimSpace(op + " " + object)
	if e.Hook != nil {
		if err := e.Hook(ctx, op, object); err != nil {
			if f, ok := errors.AsType[*fault.Fault](err); ok {
				return nil, f
			}
			return nil, fault.New(fault.Engine, what, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Canceled, what, err)
	}
	e.mu.Lock()
	if e.containers == nil {
		e.containers, e.networks = map[string]*container{}, map[string]*network{}
		e.volumes, e.payloads = map[string]*volume{}, map[string]bool{}
	}
	return e.mu.Unlock, nil
}

// Calls lists the operations so far, each as "EnsureNode bonsai-1".
func (e *Engine) Calls() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls)
}

// AddContainer makes a running container that is not bonsai's.
func (e *Engine) AddContainer(name string) {
	done, _ := e.begin(context.Background(), "AddContainer", name)
	defer done()
	e.containers[name] = &container{Container: node.Container{Name: name, Running: true}, foreign: true}
}

// AddNetwork makes a network that is not bonsai's.
func (e *Engine) AddNetwork(name string, subnet netip.Prefix) {
	done, _ := e.begin(context.Background(), "AddNetwork", name)
	defer done()
	e.networks[name] = &network{Network: node.Network{Name: name, Subnets: []netip.Prefix{subnet}}}
}

// AddVolume makes a volume that is not bonsai's.
func (e *Engine) AddVolume(name string) {
	done, _ := e.begin(context.Background(), "AddVolume", name)
	defer done()
	e.volumes[name] = &volume{}
}

// AddImage adds an image with these names.
func (e *Engine) AddImage(names ...string) {
	done, _ := e.begin(context.Background(), "AddImage", strings.Join(names, " "))
	defer done()
	for _, name := range names {
		e.Images = append(e.Images, node.Image{Ref: name, ID: "sha256:" + names[0]})
	}
}

// RemoveContainer removes a container and keeps its volume, as a user does by hand.
func (e *Engine) RemoveContainer(name string) {
	done, _ := e.begin(context.Background(), "RemoveContainer", name)
	defer done()
	if c := e.containers[name]; c != nil {
		c.stop(137)
		delete(e.containers, name)
	}
}

// Prune removes what no container that runs uses, as "docker system prune -af --volumes" does.
func (e *Engine) Prune() {
	done, _ := e.begin(context.Background(), "Prune", "")
	defer done()
	maps.DeleteFunc(e.containers, func(_ string, c *container) bool { return !c.Running })
	used := map[string]bool{}
	for name, c := range e.containers {
		used[name+"-var"], used[c.ClusterID], used[c.Payload] = true, true, true
	}
	maps.DeleteFunc(e.volumes, func(name string, _ *volume) bool { return !used[name] })
	maps.DeleteFunc(e.networks, func(_ string, n *network) bool { return !used[n.ClusterID] })
	maps.DeleteFunc(e.payloads, func(hash string, _ bool) bool { return !used[hash] })
}

// AgePayloads makes all payloads old enough to be pruned.
func (e *Engine) AgePayloads() {
	done, _ := e.begin(context.Background(), "AgePayloads", "")
	defer done()
	for hash := range e.payloads {
		e.payloads[hash] = true
	}
}

// Kill ends the containers of a node as a crash would; their state says "exited".
func (e *Engine) Kill(nodeName string) {
	done, _ := e.begin(context.Background(), "Kill", nodeName)
	defer done()
	for _, c := range e.containers {
		if c.Node == nodeName {
			c.stop(137)
		}
	}
}

// Pause freezes the containers of a node, as "docker pause" does.
func (e *Engine) Pause(nodeName string) {
	done, _ := e.begin(context.Background(), "Pause", nodeName)
	defer done()
	for _, c := range e.containers {
		if c.Node == nodeName && c.Running {
			c.Running, c.State = false, "paused"
		}
	}
}

// Ping implements node.Driver.
func (e *Engine) Ping(ctx context.Context) (node.EngineInfo, error) {
	done, err := e.begin(ctx, "Ping", "")
	if err != nil {
		return node.EngineInfo{}, err
	}
	defer done()
	i := e.Info
	i.Version, i.APIVersion = cmp.Or(i.Version, "28.0.0"), cmp.Or(i.APIVersion, "1.48")
	i.OS, i.Arch = cmp.Or(i.OS, "Debian GNU/Linux 13"), cmp.Or(i.Arch, "x86_64")
	i.StorageDriver, i.CgroupVersion = cmp.Or(i.StorageDriver, "overlay2"), cmp.Or(i.CgroupVersion, "2")
	i.CPUs, i.MemoryBytes = cmp.Or(i.CPUs, 4), cmp.Or(i.MemoryBytes, 8<<30)
	return i, nil
}

// Networks implements node.Driver.
func (e *Engine) Networks(ctx context.Context) ([]node.Network, error) {
	done, err := e.begin(ctx, "Networks", "")
	if err != nil {
		return nil, err
	}
	defer done()
	var list []node.Network
	for _, n := range e.networks {
		list = append(list, n.Network)
	}
	slices.SortFunc(list, func(a, b node.Network) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Holdings implements node.Driver.
func (e *Engine) Holdings(ctx context.Context) ([]node.Holding, error) {
	done, err := e.begin(ctx, "Holdings", "")
	if err != nil {
		return nil, err
	}
	defer done()
	found := node.Inventory{}
	for name, c := range e.containers {
		if !c.foreign {
			h := found.Of(c.ClusterID, c.Cluster)
			h.Containers = append(h.Containers, name)
		}
	}
	for name, v := range e.volumes {
		if v.id != "" {
			h := found.Of(v.id, v.cluster)
			h.Volumes = append(h.Volumes, name)
		}
	}
	for name, n := range e.networks {
		if n.ClusterID != "" {
			h := found.Of(n.ClusterID, n.cluster)
			h.Networks = append(h.Networks, name)
		}
	}
	return found.List(), nil
}

// EnsurePayload implements node.Driver; it reads the whole stream, and forgets it.
func (e *Engine) EnsurePayload(ctx context.Context, p node.Payload, progress func(done, total int64)) error {
	done, err := e.begin(ctx, "EnsurePayload", p.Hash)
	if err != nil {
		return err
	}
	_, whole := e.payloads[p.Hash]
	done()
	if whole {
		return nil
	}
	if err := drain(ctx, p, progress); err != nil {
		if ctx.Err() != nil {
			return fault.New(fault.Canceled, "load the node payload", err)
		}
		return fault.New(fault.Engine, "load the node payload", err)
	}
	e.mu.Lock()
	e.payloads[p.Hash] = false
	e.mu.Unlock()
	return nil
}

func drain(ctx context.Context, p node.Payload, progress func(done, total int64)) error {
	r, err := p.Volume()
	if err != nil {
		return err
	}
	defer r.Close()
	var read int64
	for buf := make([]byte, 64<<10); ; {
		n, err := r.Read(buf)
		read += int64(n)
		if progress != nil {
			progress(read, max(read, p.Size))
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// EnsureNetwork implements node.Driver.
func (e *Engine) EnsureNetwork(ctx context.Context, spec *cluster.Spec) error {
	name := node.NetworkName(spec)
	done, err := e.begin(ctx, "EnsureNetwork", name)
	if err != nil {
		return err
	}
	defer done()
	wanted := &network{
		Network: node.Network{Name: name, ClusterID: spec.ID, APIPort: spec.APIPort, Subnets: []netip.Prefix{spec.Subnet}},
		cluster: spec.Name, gateway: spec.Gateway, mtu: spec.MTU,
	}
	for _, n := range e.networks {
		switch {
		case n.Name == name && n.ClusterID != spec.ID:
			return fault.Newf(fault.Conflict, "the name of network %s is %w", name, node.ErrTaken)
		case n.Name != name && n.Subnets[0].Overlaps(spec.Subnet):
			return fault.Newf(fault.Conflict, "subnet %s is %w: %s", spec.Subnet, node.ErrTaken, n.Name)
		case n.Name == name && (n.gateway != wanted.gateway || n.mtu != wanted.mtu || n.Subnets[0] != spec.Subnet):
			for _, c := range e.containers {
				if c.ClusterID == spec.ID && c.Running {
					return fault.Newf(fault.Conflict, "network %s has other settings and is in use", name)
				}
			}
		}
	}
	e.networks[name] = wanted
	return nil
}

// EnsureNode implements node.Driver.
func (e *Engine) EnsureNode(ctx context.Context, n node.NodeSpec) error {
	name := node.ContainerName(n.Spec, n.Node)
	done, err := e.begin(ctx, "EnsureNode", n.Node.Name)
	if err != nil {
		return err
	}
	defer done()
	if _, ok := e.payloads[n.Payload]; !ok {
		return fault.Newf(fault.Engine, "payload %s is not in the engine", n.Payload)
	}
	if e.networks[node.NetworkName(n.Spec)] == nil {
		return fault.Newf(fault.Engine, "network %s is not there", node.NetworkName(n.Spec))
	}
	settings := fmt.Sprint(n.Spec.Subnet, n.Spec.MTU, n.Node.Name, n.Node.IP, n.Payload, n.Image, n.Node.Mounts)
	c := e.containers[name]
	if c != nil && (c.foreign || c.ClusterID != n.Spec.ID) {
		return fault.Newf(fault.Conflict, "the name of container %s is %w", name, node.ErrTaken)
	}
	unlimited := c != nil && (c.cpus != 0 && n.Node.CPUs == 0 || c.memory != 0 && n.Node.MemoryBytes == 0)
	if c == nil || c.settings != settings || unlimited {
		volumeName := node.VolumeName(n.Spec, n.Node)
		if v := e.volumes[volumeName]; v != nil && v.id != n.Spec.ID {
			return fault.Newf(fault.Conflict, "the name of volume %s is %w", volumeName, node.ErrTaken)
		}
		if c != nil {
			c.stop(137)
		}
		e.serial++
		c = &container{settings: settings, root: files{"/etc/bonsai": {mode: 0o755}}, Container: node.Container{
			Cluster: n.Spec.Name, ClusterID: n.Spec.ID, Node: n.Node.Name, Name: name, ID: fmt.Sprintf("%012x", e.serial),
			Payload: n.Payload, IP: n.Node.IP, Privileged: true,
		}}
		e.containers[name] = c
		if e.volumes[volumeName] == nil {
			e.volumes[volumeName] = &volume{n.Spec.ID, n.Spec.Name, n.Node.Name, files{}}
		}
	}
	c.cpus, c.memory = n.Node.CPUs, n.Node.MemoryBytes
	if n.Data != nil && c.State == "" {
		if err := fill(e.volumes[node.VolumeName(n.Spec, n.Node)].files, n.Data); err != nil {
			return err
		}
	}
	for _, f := range n.Files {
		c.root[f.Path] = file{f.Mode.Perm(), slices.Clone(f.Data)}
	}
	if c.State == "paused" {
		c.Running, c.State = true, "running"
	}
	if !c.Running {
		c.Running, c.State, c.Started, c.stopped = true, "running", time.Now(), make(chan struct{})
		c.log += "node " + n.Node.Name + " is up\n"
	}
	return nil
}

func (c *container) stop(code int) {
	if c.Up() {
		c.Running, c.State, c.ExitCode, c.Started = false, "exited", code, time.Time{}
		if c.stopped != nil {
			close(c.stopped)
		}
	}
}

// List implements node.Driver.
func (e *Engine) List(ctx context.Context, id string) ([]node.Container, error) {
	done, err := e.begin(ctx, "List", id)
	if err != nil {
		return nil, err
	}
	defer done()
	var list []node.Container
	for _, c := range e.containers {
		if !c.foreign && (id == "" || c.ClusterID == id) {
			list = append(list, c.Container)
		}
	}
	node.SortContainers(list)
	return list, nil
}
