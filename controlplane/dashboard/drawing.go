package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// The drawing is laid out in these units, which the browser scales.
const (
	drawingWidth = 960
	nodeGap      = 20
	nodesPerRow  = 3
	podSize      = 16
	podStep      = 20
	planeHeight  = 250
	partHeight   = 30
)

// drawingData is what the page architecture shows: boxes and arrows in the units of the drawing, and what each part does.
type drawingData struct {
	cluster.Snapshot
	Width, Height int
	Parts         []partBox
	Arrows        []arrow
	Nodes         []nodeBox
	Explained     []explanation
	// Measured says that the rates are known.
	Measured bool
	Load     cluster.ControlPlaneLoad
}

// partBox is one component. Tone is how it is: ok, warn, bad or off.
type partBox struct {
	Name, Label, Tone, Note string
	State                   cluster.Phase
	X, Y, W, H              int
}

// arrow is who calls whom. Speed is 0 for nothing, up to 3.
type arrow struct {
	From, To       string
	X1, Y1, X2, Y2 int
	LabelX, LabelY int
	Rate           string
	Speed          int
}

// nodeBox is one node with the pods in it.
type nodeBox struct {
	cluster.NodeStatus
	X, Y, W, H int
	Tone       string
	Parts      []partBox
	Pods       []podBox
	// More is how many pods there is no room for, at MoreX, MoreY.
	More, MoreX, MoreY int
	// Used is its CPU and memory, empty until measured.
	Used string
}

// podBox is one pod.
type podBox struct {
	Namespace, Name, Node, Status, Tone, Where string
	X, Y                                       int
}

// explanation is what a part does, in two sentences. Text is English, for Words.
type explanation struct{ Name, Text string }

// explanations are those of all parts, in the order of a request.
var explanations = []explanation{
	{"clients", "Everything that talks to the cluster from outside: kubectl, this page, programs of yours. They all speak to the API server, and to nothing else."},
	{"kube-apiserver", "The only entrance: it says who you are, what you may do, and whether an object is valid. Every other part reads and writes objects through it, and watches it for changes."},
	{"etcd", "Where the cluster is stored: every object, with all of its state. Only the API server talks to it; if it is lost, so is the cluster."},
	{"kube-scheduler", "It looks for pods without a node and chooses one for each, by room, rules and preferences. It only writes down the choice; starting the pod is the kubelet's work."},
	{"kube-controller-manager", "Many loops that compare what is wanted with what is there, and close the gap: a Deployment gets its ReplicaSet, a ReplicaSet its pods, a lost node loses its pods. Each loop only reads and writes objects."},
	{"kubelet", "The API server's agent on a node: it takes the pods that were assigned to the node, has their containers started, and reports how they are. It restarts what crashes and kills what fails its probes."},
	{"containerd", "It pulls images and runs containers when the kubelet asks for it. Containers keep running when it restarts."},
	{"kube-proxy", "It turns the addresses of Services into those of pods that are ready, by rules in the node's kernel. No traffic goes through the program itself."},
	{"dns", "It answers the names of Services and pods on the node itself, and passes all other names on. So a pod finds web.shop by its name, wherever its pods are."},
	{"pod-network", "It gives each pod an address, and the node's kernel routes to the pods of other nodes. Every pod reaches every other one without translation."},
	{"pod", "The smallest thing that is placed on a node: one or more containers with one address. When it goes, another one takes its place; its name and address are new."},
}

// tone is a phase as a color and a sign.
func tone(p cluster.Phase) string {
	switch p {
	case cluster.PhaseRunning:
		return "ok"
	case cluster.PhaseFailed, cluster.PhaseDegraded:
		return "bad"
	case cluster.PhaseStopped, cluster.PhasePaused, cluster.PhaseAbsent, cluster.PhaseOff:
		return "off"
	}
	return "warn"
}

func (s *Server) loadDrawing(ctx context.Context, _ *request) (any, error) {
	return draw(s.snapshot(ctx), nil, nil), nil
}

func (s *Server) followDrawing(ctx context.Context, _ *request, send func(any) error) error {
	p := pulse{pods: map[string]podBox{}}
	return newest(ctx, func() error {
		snapshot, load, pods := p.now()
		if snapshot.Time.IsZero() {
			return nil
		}
		return send(draw(snapshot, load, pods))
	}, s.watch(&p), s.load(&p), s.pods(&p))
}

// pods keeps the pods of a pulse current.
func (s *Server) pods(p *pulse) func(context.Context, func()) error {
	return func(ctx context.Context, changed func()) error {
		node, status := -1, -1
		return s.o.Objects.WatchRows(ctx, kube.RowQuery{Type: kube.PodType()}, func(b kube.RowBatch) error {
			for i, c := range b.Columns {
				switch c.Name {
				case "Node":
					node = i
				case "Status":
					status = i
				}
			}
			p.mu.Lock()
			if b.Reset {
				p.pods = map[string]podBox{}
			}
			for _, r := range b.Set {
				box := podBox{Namespace: r.Namespace, Name: r.Name, Where: objectPath("pods", r.Namespace, r.Name)}
				if node >= 0 && node < len(r.Cells) {
					box.Node = r.Cells[node]
				}
				if status >= 0 && status < len(r.Cells) {
					box.Status = r.Cells[status]
				}
				box.Tone = podTone(box.Status, r.Deleting)
				p.pods[r.UID] = box
			}
			for _, uid := range b.Delete {
				delete(p.pods, uid)
			}
			p.mu.Unlock()
			changed()
			return nil
		})
	}
}

// podTone is the status of a pod, as kubectl prints it, as a color.
func podTone(status string, deleting bool) string {
	switch {
	case deleting, status == "Completed", status == "Succeeded":
		return "off"
	case status == "Running":
		return "ok"
	case status == "Pending", status == "ContainerCreating", status == "PodInitializing", strings.HasPrefix(status, "Init:") && !strings.Contains(status, "Err") && !strings.Contains(status, "Crash"):
		return "warn"
	}
	return "bad"
}

// sortedPods are in the order in which they are drawn: those that fail come first, so that they have room.
func sortedPods(pods map[string]podBox) []podBox {
	list := make([]podBox, 0, len(pods))
	for _, p := range pods {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b podBox) int {
		return cmp.Or(cmp.Compare(rank(a.Tone), rank(b.Tone)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// rank is the place of a tone in a list.
func rank(tone string) int { return slices.Index([]string{"bad", "warn", "ok", "off"}, tone) }

// draw lays the cluster out.
func draw(snapshot cluster.Snapshot, load *cluster.Load, pods []podBox) drawingData {
	d := drawingData{Snapshot: snapshot, Width: drawingWidth, Explained: explanations, Measured: load != nil}
	if load != nil {
		d.Load = load.ControlPlane
	}
	d.plane()
	d.arrows()
	d.nodes(load, pods)
	return d
}

// plane places the components of the control plane.
func (d *drawingData) plane() {
	places := []struct {
		name       string
		x, y, w, h int
	}{
		{"clients", 20, 105, 130, 60},
		{"kube-apiserver", 370, 100, 220, 70},
		{"etcd", 720, 100, 200, 70},
		{"kube-scheduler", 260, 205, 200, 40},
		{"kube-controller-manager", 500, 205, 220, 40},
	}
	for _, p := range places {
		box := partBox{Name: p.name, Label: p.name, Tone: "ok", X: p.x, Y: p.y - 55, W: p.w, H: p.h}
		if p.name != "clients" {
			box.State, box.Tone = cluster.PhaseUnknown, "warn"
			for _, c := range d.Snapshot.Components {
				if c.Name == p.name {
					box.State, box.Tone = c.Phase, tone(c.Phase)
				}
			}
		}
		switch p.name {
		case "etcd":
			if d.Measured {
				box.Note = bytesText(uint64(max(0, d.Load.DBSize)))
			}
		case "kube-apiserver":
			if d.Measured {
				box.Note = fmt.Sprintf("watch %d", d.Load.Watches)
			}
		}
		d.Parts = append(d.Parts, box)
	}
}

// arrows places who calls whom.
func (d *drawingData) arrows() {
	d.Arrows = []arrow{
		{From: "clients", To: "kube-apiserver", X1: 150, Y1: 80, X2: 366, Y2: 80, LabelX: 258, LabelY: 72},
		{From: "kube-apiserver", To: "etcd", X1: 590, Y1: 80, X2: 716, Y2: 80, LabelX: 653, LabelY: 72},
		{From: "kube-scheduler", To: "kube-apiserver", X1: 400, Y1: 150, X2: 420, Y2: 119, LabelX: 362, LabelY: 138},
		{From: "kube-controller-manager", To: "kube-apiserver", X1: 560, Y1: 150, X2: 545, Y2: 119, LabelX: 600, LabelY: 138},
		{From: "kubelet", To: "kube-apiserver", X1: 480, Y1: planeHeight - 6, X2: 480, Y2: 119, LabelX: 512, LabelY: planeHeight - 12},
	}
	for i := range d.Arrows {
		a := &d.Arrows[i]
		for _, l := range d.Load.Links {
			if l.From == a.From && l.To == a.To {
				a.Rate, a.Speed = fmt.Sprintf("%.0f/s", l.Rate), speed(l.Rate)
				if l.Rate > 0 && l.Rate < 9.5 {
					a.Rate = fmt.Sprintf("%.1f/s", l.Rate)
				}
			}
		}
	}
}

// speed is how fast an arrow moves.
func speed(rate float64) int {
	switch {
	case rate >= 50:
		return 3
	case rate >= 5:
		return 2
	case rate > 0:
		return 1
	}
	return 0
}

// nodes places the nodes, and the pods in them.
func (d *drawingData) nodes(load *cluster.Load, pods []podBox) {
	byNode := map[string][]podBox{}
	for _, p := range pods {
		byNode[p.Node] = append(byNode[p.Node], p)
	}
	columns := min(nodesPerRow, max(1, len(d.Snapshot.Nodes)))
	width := (drawingWidth - nodeGap*(columns+1)) / columns
	const height = 190
	for i, n := range d.Snapshot.Nodes {
		box := nodeBox{NodeStatus: n, W: width, H: height, X: nodeGap + (i%columns)*(width+nodeGap), Y: planeHeight + (i/columns)*(height+nodeGap), Tone: "warn"}
		switch {
		case n.Stopped || n.Host == cluster.PhasePaused:
			box.Tone = "off"
		case n.Ready:
			box.Tone = "ok"
		case n.Kubelet == cluster.PhaseFailed || n.Kubelet == cluster.PhaseDegraded:
			box.Tone = "bad"
		}
		box.parts(n)
		if load != nil {
			for _, u := range load.Nodes {
				if u.Node == n.Name && u.CPUs > 0 {
					box.Used = fmt.Sprintf("CPU %.2f · %s", u.CPU, bytesText(u.Memory))
				}
			}
		}
		box.place(byNode[n.Name])
		d.Nodes = append(d.Nodes, box)
	}
	rows := (len(d.Snapshot.Nodes) + columns - 1) / columns
	d.Height = planeHeight + rows*(height+nodeGap)
}

// parts places the components of a node, each a quarter of its width.
func (b *nodeBox) parts(n cluster.NodeStatus) {
	names := []string{"kubelet", "containerd", "kube-proxy", "dns"}
	step := (b.W - 16) / len(names)
	for i, name := range names {
		p := partBox{Name: name, Label: name, State: cluster.PhaseUnknown, Tone: "off", X: b.X + 10 + i*step, Y: b.Y + 40, W: step - 6, H: partHeight}
		for _, c := range n.Components {
			if c.Name == name {
				p.State, p.Tone = c.Phase, tone(c.Phase)
			}
		}
		if name == "dns" {
			p.Label = "DNS"
			if n.DNS != "" {
				p.State, p.Tone = n.DNS, tone(n.DNS)
			}
		}
		b.Parts = append(b.Parts, p)
	}
}

// place puts pods into a node's box, in rows, as many as there is room for.
func (b *nodeBox) place(pods []podBox) {
	perRow := (b.W - 20) / podStep
	const rows = 4
	room := perRow*rows - 2 // for the number of the others
	for i, p := range pods {
		x, y := b.X+12+(i%perRow)*podStep, b.Y+100+(i/perRow)*podStep
		if i == room && len(pods) > room {
			b.More, b.MoreX, b.MoreY = len(pods)-room, x, y+podSize-4
			return
		}
		p.X, p.Y = x, y
		b.Pods = append(b.Pods, p)
	}
}
