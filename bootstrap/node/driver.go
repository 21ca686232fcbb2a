// Package node defines what bonsai needs from a container engine: the Driver interface, its argument types and the
// labels that tie containers, networks and volumes to their cluster.
//
// The Docker implementation is node/docker; node/nodetest is the suite that every implementation passes.
package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"time"

	"bonsai/bootstrap/cluster"
)

// Labels on everything that bonsai creates in the engine. Objects are found by these, and not by their names.
const (
	// LabelOurs is on each of these objects, without a value, so that one filter spares all of them:
	// "docker system prune --filter label!=io.bonsai".
	LabelOurs = "io.bonsai"
	// LabelCluster holds the cluster's name on containers, networks and node volumes. Clusters of several state folders
	// may share it, so it is only for display and never decides what to change.
	LabelCluster = "io.bonsai.cluster"
	// LabelID holds Spec.ID on the same objects. An object belongs to the cluster whose ID it carries.
	LabelID = "io.bonsai.cluster.id"
	// LabelAPIPort holds Spec.APIPort on the network, for those who choose a port while the cluster is stopped.
	LabelAPIPort = "io.bonsai.cluster.api-port"
	// LabelNode holds the node's name on containers and node volumes.
	LabelNode = "io.bonsai.node"
	// LabelPayload holds the content hash on payload volumes, node images and node containers.
	LabelPayload = "io.bonsai.payload"
	// LabelConfig holds a hash of the container's settings, so that Ensure knows whether it must be recreated.
	LabelConfig = "io.bonsai.config"
)

// Driver runs nodes as containers of one engine. All methods block until done or ctx ends, are safe for
// concurrent use on different nodes, and return a fault.Fault whose kind reports whether the engine is down, too
// old, not permitted, in conflict or failing.
type Driver interface {
	// Ping checks that the engine answers and is able to run nodes.
	Ping(ctx context.Context) (EngineInfo, error)
	// Networks lists the address ranges of all the engine's networks, so that a free one can be planned.
	Networks(ctx context.Context) ([]Network, error)
	// Holdings lists what the engine has of every cluster, whoever created it, sorted by name and ID.
	Holdings(ctx context.Context) ([]Holding, error)
	// EnsurePayload makes sure that the payload volume and the node image of p exist and are complete. It is safe to
	// repeat and to run concurrently; a partial volume is detected and filled again. progress may be nil; it is called
	// with the bytes written and the total.
	EnsurePayload(ctx context.Context, p Payload, progress func(done, total int64)) error
	// EnsureNetwork makes sure that the cluster's network exists with exactly the planned subnet and gateway. If those,
	// or its name, are taken by another cluster, the fault is a Conflict that wraps ErrTaken.
	EnsureNetwork(ctx context.Context, spec *cluster.Spec) error
	// EnsureNode makes sure that the node's container exists with these settings and runs. A container whose settings
	// differ is replaced; its volume is kept. Limits are changed in place, and only the removal of one replaces it. It returns once the container runs. Call EnsurePayload and EnsureNetwork
	// first.
	EnsureNode(ctx context.Context, n NodeSpec) error
	// FillNode extracts a tar archive of the root folder into a container that does not run. open may be called more than once.
	FillNode(ctx context.Context, container string, open func() (io.ReadCloser, error)) error
	// List returns the containers of the cluster with this ID, or of all clusters if id is "", sorted by cluster and
	// node. Pass Container.Name to the methods that take a container.
	List(ctx context.Context, id string) ([]Container, error)
	// StopNode stops the container, giving its init grace to end pods and children, and keeps everything.
	StopNode(ctx context.Context, container string, grace time.Duration) error
	// PauseNode freezes all processes of a running container; UnpauseNode lets them continue. What is so already is not an
	// error, and a container that does not run is not changed.
	PauseNode(ctx context.Context, container string) error
	UnpauseNode(ctx context.Context, container string) error
	// RemoveNode removes the container and the volume of a node of the cluster with this ID, running or not. A missing
	// one is not an error.
	RemoveNode(ctx context.Context, id, nodeName string) error
	// RemoveCluster removes all containers, volumes and networks of the cluster with this ID. Missing ones are not an
	// error; an empty ID is, and removes nothing.
	RemoveCluster(ctx context.Context, id string) error
	// PrunePayloads removes payload volumes and node images that no container uses, except those of keep.
	PrunePayloads(ctx context.Context, keep string) error
	// DiskUse lists what volumes, containers and images of bonsai take on the engine's disk, whoever created them. What
	// PrunePayloads(keep) would remove is Prunable. It may take seconds: the engine reads all files.
	DiskUse(ctx context.Context, keep string) ([]Use, error)
	// Exec runs a command in a container and returns its exit code.
	Exec(ctx context.Context, container string, e Exec) (int, error)
	// Logs copies the container's own output, at most tail lines from its end (0: all), into w.
	Logs(ctx context.Context, container string, tail int, follow bool, w io.Writer) error
	// FindImages returns the images of the engine that refs name, in their order. Those that it does not have are missing.
	FindImages(ctx context.Context, refs []string) ([]Image, error)
	// ImageNames returns the names of all images of the engine, sorted, except bonsai's own.
	ImageNames(ctx context.Context) ([]string, error)
	// SaveImages streams images of the engine as a docker archive; the caller closes it.
	SaveImages(ctx context.Context, refs []string) (io.ReadCloser, error)
	// ReadLayers writes parts of an image of the engine as a tar archive whose files are named by digest: its configuration,
	// which has the digest id, and those of its layers whose uncompressed content has the digests layers. container is a node
	// whose software is used. Not every engine can do that; an error says only that SaveImages has to be used, and w may have got
	// some of it. The content is not compared with the digests.
	ReadLayers(ctx context.Context, container, id string, layers []string, w io.Writer) error
	// StageLayers unpacks layers of images into the volumes of nodes, which may run: each layer once, and the files of further
	// nodes are hard links to those. Each layer is compared with its DiffID. s.Blobs is a folder of this machine, s.Volumes are
	// containers, the first of which is one whose software is used. Not every engine can do that; an error says only that the
	// layers have to be sent. What it has left then is removed by the delivery.
	StageLayers(ctx context.Context, s cluster.LayerStaging) error
	// Close releases the connection.
	Close() error
}

// ErrTaken means that an address range or a name belongs to another cluster or program: a plan with others may succeed.
var ErrTaken = errors.New("taken by somebody else")

// EngineInfo is what bonsai needs to know about the engine.
type EngineInfo struct {
	Version, APIVersion string
	OS, Arch            string
	StorageDriver       string
	CgroupVersion       string // "1" or "2"
	CPUs                int
	MemoryBytes         int64
	// MTU of the default bridge, 0 if unknown.
	MTU int
	// DataRoot is where the engine stores images, containers and volumes, on its own machine.
	DataRoot string
	// HostReachesNodes reports whether node addresses can be dialled from this process: the engine runs on this
	// machine's own kernel, not in a VM or elsewhere.
	HostReachesNodes bool
	// Apart means that this process is in a container with a network of its own: neither does it reach the nodes, nor they
	// it.
	Apart    bool
	Warnings []string
}

// The kinds of Use.
const (
	UseVolume    = "volume"
	UseContainer = "container"
	UseImage     = "image"
)

// Use is what one object of the engine takes on its disk.
type Use struct {
	Kind, Name string
	// Cluster, ClusterID and Node are those of its labels; Payload is that of what nodes share.
	Cluster, ClusterID, Node, Payload string
	// Bytes of a container are what it has written itself; -1 means that the engine does not know.
	Bytes    int64
	Prunable bool
}

// Network is one network of the engine.
type Network struct {
	Name string
	// ClusterID is the cluster that owns it, "" if it is not bonsai's.
	ClusterID string
	// APIPort is the port of its API server on the machine that created it, 0 if unknown.
	APIPort int
	Subnets []netip.Prefix
}

// Payload is what all nodes of one version of bonsai share. Hash names its content.
type Payload struct {
	// Hash is lower-case hex, part of volume and image names.
	Hash string
	// Size is the approximate number of bytes of Volume, for progress.
	Size int64
	// Volume opens a tar stream of the volume's content, rooted at the volume.
	Volume func() (io.ReadCloser, error)
	// Image opens a docker archive ("docker load") with one image tagged ImageRef.
	Image    func() (io.ReadCloser, error)
	ImageRef string
}

// NodeSpec is one desired node container.
type NodeSpec struct {
	Spec    *cluster.Spec
	Node    cluster.Node
	Payload string // Payload.Hash
	Image   string // Payload.ImageRef
	// Files are written into the container before it starts, and again whenever they changed.
	Files []File
	// Data opens a tar archive of the root folder that a container gets once, when it is created and before it starts; it may be
	// nil. It may be called more than once.
	Data func() (io.ReadCloser, error)
}

// File is one file for a container; folders are created as needed.
type File struct {
	Path string // absolute
	Mode fs.FileMode
	Data []byte
}

// Container is one observed node container.
type Container struct {
	Cluster, ClusterID, Node string
	Name, ID                 string
	Payload                  string
	// State is the engine's word: created, running, paused, restarting, removing, exited, dead.
	State      string
	Running    bool
	IP         netip.Addr
	Started    time.Time
	Restarts   int
	ExitCode   int
	Privileged bool
}

// Paused reports whether its processes are frozen.
func (c Container) Paused() bool { return c.State == "paused" }

// Up reports whether the container has processes, whether or not they do anything: one that is paused keeps its memory,
// and the engine starts one that is between two restarts again.
func (c Container) Up() bool {
	return c.Running || c.Paused() || c.State == "restarting"
}

// Image is one image of the engine.
type Image struct {
	// Ref is the name by which it was found, ID what the engine calls its content.
	Ref, ID string
	// Digests are its names by digest (NAME@sha256:…), of the registries that it was pulled from or pushed to.
	Digests []string
	// Layers are the digests of its layers, uncompressed; Size is that of all their files.
	Layers []string
	Size   int64
}

// Exec is a command to run in a container.
type Exec struct {
	Cmd    []string
	Env    []string
	Stdin  io.Reader // nil: none
	Stdout io.Writer // nil: discarded
	Stderr io.Writer // nil: discarded; with TTY everything goes to Stdout
	TTY    bool
	// Resize carries terminal sizes while a TTY runs; may be nil.
	Resize <-chan Size
}

// Size is a terminal's size in cells.
type Size struct{ Width, Height uint }
