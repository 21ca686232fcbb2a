package doctor

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/node"
)

// CheckEngine says what the engine is, and what may be wrong with it.
func CheckEngine(e node.EngineInfo) Check {
	c := Check{ID: IDEngine, Detail: fmt.Sprintf("Docker %s, API %s, %s, cgroup v%s, %d CPUs, %s", e.Version, e.APIVersion, e.StorageDriver,
		e.CgroupVersion, e.CPUs, size(e.MemoryBytes))}
	if e.Apart {
		c.add(string(fault.Unreachable), cluster.SeverityError, "bonsai is in a container with a network of its own",
			"nodes cannot reach an API server there", cluster.Advise("run that container with --network host"))
	} else if !e.HostReachesNodes {
		c.add(cluster.ProblemAfar, cluster.SeverityError, "the engine does not run on this machine's own kernel",
			"it is on another machine or in a virtual one (Docker Desktop), and the API server has to reach the addresses of nodes",
			cluster.Advise("use an engine of this machine", cluster.Program("docker", "context", "use", "default").Change()),
			cluster.Advise("or start an API server alone", cluster.Bonsai("start").With("--nodes", "0").Change()))
	}
	for _, w := range e.Warnings {
		if strings.Contains(w, "cgroup v1") {
			continue // the check of control groups says it
		}
		c.add(cluster.ProblemEngine, cluster.SeverityWarning, w, "")
	}
	return c
}

// ClusterNodes is how many nodes a cluster has that another check assumes.
const ClusterNodes = cluster.DefaultNodes

// CheckLimits judges whether one more cluster of the usual size fits. running says that a cluster runs, which is then no
// reason to call the machine unfit.
func CheckLimits(facts limits.Facts, d limits.Demand, running bool) Check {
	c := Check{ID: IDLimits, Detail: fmt.Sprintf("room for a cluster of %d nodes more", d.Nodes)}
	for _, v := range limits.Judge(facts, d) {
		if v.Name == limits.Disk {
			continue // the check of disks has it
		}
		p := fault.Problem(v.Fault())
		if v.Grade != limits.Short || running {
			p.Severity = cluster.SeverityWarning
		}
		f := Finding{Problem: p}
		if v.Setting != "" && v.Value > v.Level.Limit {
			f.Repair = Repair{Do: RaiseLimit, Of: string(v.Name)}
		}
		c.Findings = append(c.Findings, f)
	}
	if len(facts) == 0 {
		return Unknown(IDLimits, "they cannot be read")
	}
	if len(c.Findings) > 0 {
		c.Detail = fmt.Sprintf("for a cluster of %d nodes more", d.Nodes)
	}
	return c
}

// Memory is the machine's, in bytes; 0 if unknown.
type Memory struct{ Total, Available int64 }

// What a control plane and a node take, rounded up from docs/performance.md. Pods come on top.
const (
	controlPlaneMemory = 320 << 20
	nodeMemory         = 110 << 20
)

// CheckMemory judges whether one more cluster of the usual size fits.
func CheckMemory(m Memory) Check {
	if m.Total == 0 {
		return Unknown(IDMemory, "it cannot be read")
	}
	need := int64(controlPlaneMemory + ClusterNodes*nodeMemory)
	c := Check{ID: IDMemory, Detail: fmt.Sprintf("%s of %s are available; a cluster of %d nodes takes about %s without pods",
		size(m.Available), size(m.Total), ClusterNodes, size(need))}
	if m.Available < need {
		c.add(cluster.ProblemRAM, cluster.SeverityWarning, fmt.Sprintf("only %s of memory are available", size(m.Available)),
			fmt.Sprintf("a cluster of %d nodes takes about %s, and pods come on top", ClusterNodes, size(need)),
			cluster.Advise("stop a cluster that you do not need; see which run", cluster.Bonsai("profile", "list").OfNone()),
			cluster.Advise("or start one node", cluster.Bonsai("start").With("--nodes", "1").Change()))
	}
	return c
}

// Disk is a file system.
type Disk struct {
	// Of is what is on it ("the state folder"), Path where.
	Of, Path   string
	Size, Free int64
}

const (
	// littleRoom is how much free room is too little for a few images, or for etcd and its logs.
	littleRoom = 1 << 30
	// noRoom is where etcd and containerd may fail at any moment.
	noRoom = 100 << 20
)

// CheckDisk judges the file systems of the engine and of the state folder.
func CheckDisk(disks ...Disk) Check {
	c := Check{ID: IDDisk}
	var seen []string
	for _, d := range disks {
		if d.Size == 0 {
			continue
		}
		seen = append(seen, fmt.Sprintf("%s of %s free for %s", size(d.Free), size(d.Size), d.Of))
		if d.Free >= littleRoom {
			continue
		}
		severity := cluster.SeverityWarning
		if d.Free < noRoom {
			severity = cluster.SeverityError
		}
		c.add(cluster.ProblemRoom, severity, fmt.Sprintf("only %s are free on the disk of %s (%s)", size(d.Free), d.Of, d.Path),
			"etcd stops when its disk is full, and pods get no images",
			cluster.Advise("see what takes the room", cluster.Bonsai("df").OfNone()),
			cluster.Advise("remove what nothing needs", cluster.Bonsai("prune").OfNone().Change()))
	}
	if c.Detail = strings.Join(seen, "; "); c.Detail == "" {
		return Unknown(IDDisk, "the disks cannot be read")
	}
	return c
}

// Clock is what is known of the time.
type Clock struct {
	Now time.Time
	// Synchronized is what the kernel says; Known that it says it.
	Synchronized, Known bool
	// Latest is the newest time that a cluster's files have, From whose it is.
	Latest time.Time
	From   string
}

// clockTolerance is a difference that file systems and clock adjustments may make.
const clockTolerance = time.Minute

// CheckClock finds a clock that went back: certificates would not be valid yet, and leases never expire.
func CheckClock(k Clock) Check {
	c := Check{ID: IDClock, Detail: k.Now.Format(time.RFC3339)}
	switch {
	case k.Known && k.Synchronized:
		c.Detail += ", synchronized"
	case k.Known:
		c.Detail += ", not synchronized with a time server"
	}
	if back := k.Latest.Sub(k.Now); back > clockTolerance {
		c.add(cluster.ProblemClock, cluster.SeverityError, fmt.Sprintf("the clock is %s behind %s", back.Round(time.Second), k.From),
			"it was set back, or is wrong: certificates may not be valid yet, and leases of kubelets do not expire",
			cluster.Advise("see what sets it", cluster.Program("timedatectl")))
	}
	return c
}

// Folder is the state folder.
type Folder struct {
	Path   string
	Exists bool
	// Owned says that it belongs to this user, Mode is its mode.
	Owned bool
	Mode  fs.FileMode
	// Trouble is why nothing can be created or locked in it, nil if it can.
	Trouble error
	// Network is the kind of network file system that it is on, "" if on none.
	Network string
	// Open are folders of clusters in it that others may read.
	Open []string
}

// CheckFolder judges the state folder.
func CheckFolder(f Folder) Check {
	c := Check{ID: IDFolder, Detail: f.Path}
	switch {
	case !f.Exists && f.Trouble == nil:
		c.Detail += " (does not exist yet)"
	case f.Trouble != nil:
		c.Findings = append(c.Findings, Finding{Problem: fault.Problem(f.Trouble)})
	case !f.Owned:
		c.add(string(fault.State), cluster.SeverityError, f.Path+" belongs to another user", "bonsai was probably run with sudo before",
			cluster.Advise("take it back", cluster.Program("sudo", "chown", "-R").On("USER", f.Path).Fill("USER").Change()))
	}
	if f.Network != "" {
		c.add(cluster.ProblemDistant, cluster.SeverityWarning, f.Path+" is on a network file system ("+f.Network+")",
			"etcd waits for its disk at each change, and locks may not work", cluster.Advise("set BONSAI_HOME to a folder on a local disk"))
	}
	for _, open := range f.Open {
		c.add(cluster.ProblemFolder, cluster.SeverityWarning, "other users may look into "+open, "it holds keys and the Secrets of a cluster",
			cluster.Advise("make it private", cluster.Program("chmod", "700").On(open).Change())).
			Repair = Repair{Do: MakePrivate, Of: open}
	}
	return c
}

// CheckProxy reads the variables that name proxies. err is what is wrong with them.
func CheckProxy(p cluster.Proxy, err error) Check {
	c := Check{ID: IDProxy, Detail: "none; nodes reach registries directly"}
	if p != (cluster.Proxy{}) {
		c.Detail = "nodes reach registries through " + p.String()
		if on := p.OnLoopback(); len(on) > 0 {
			c.Detail += ", forwarded from the gateway of their network"
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			c.add(cluster.ProblemProxy, cluster.SeverityWarning, strings.TrimSpace(line), "a start skips it",
				cluster.Advise("correct the variable, or unset it"))
		}
	}
	return c
}

// Session is what a control plane outlives.
type Session struct {
	// Systemd says that it runs here, Killed that it ends what a user leaves running, Lingers that it does not for this user.
	Systemd, Killed, Lingers bool
}

// CheckSession judges whether clusters outlive a logout.
func CheckSession(s Session) Check {
	c := Check{ID: IDSession, Detail: "clusters go on after a logout"}
	switch {
	case !s.Systemd:
		c.Detail = "no systemd; clusters end with the container or sandbox in which they are started"
	case s.Killed && !s.Lingers:
		c.Detail = ""
		c.add(cluster.ProblemSession, cluster.SeverityWarning, "clusters end when you log out", "systemd ends what users leave running here (KillUserProcesses=yes)",
			cluster.Advise("to keep it after a logout, let this user's programs go on first", cluster.Program("loginctl", "enable-linger").Change()))
	}
	return c
}
