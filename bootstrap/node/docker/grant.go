package docker

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/versions"
	"github.com/moby/sys/capability"
)

// labelGrant records on each node container what the engine granted, for later processes and for List.
const labelGrant = "io.bonsai.grant"

// grant is what an engine is able to give a node. An engine that runs inside a container or a restricted VM has
// fewer capabilities than its kernel knows; runc then refuses "privileged", which asks for all of them.
type grant struct {
	privileged bool
	// missing are the capabilities that the engine does not have ("SYS_RESOURCE"), for grants that are not privileged.
	missing []string
	// kmsg reports that the engine's host has /dev/kmsg; only relevant without privileges.
	kmsg bool
}

const privilegedLabel = "privileged"

func (g grant) String() string {
	if g.privileged {
		return privilegedLabel
	}
	label := "capabilities"
	for _, c := range g.missing {
		label += " -" + c
	}
	return label
}

func parseGrant(label string) (g grant, ok bool) {
	if label == privilegedLabel {
		return grant{privileged: true}, true
	}
	rest, ok := strings.CutPrefix(label, "capabilities")
	for c := range strings.FieldsSeq(rest) {
		g.missing = append(g.missing, strings.TrimPrefix(c, "-"))
	}
	return g, ok
}

// grant returns what to request from the engine. A refusal costs half a second per node, so the answer is first looked
// up where it is free: in this process's memory, in the capabilities of an engine on this machine, in the labels of
// containers that already run. If nothing is found, it is privileged, which nearly all engines grant.
func (d *Driver) grant(ctx context.Context) grant {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.granted == nil {
		g := d.guess(ctx)
		g.kmsg = exists("/dev/kmsg") || inContainer()
		d.granted = &g
		d.log.Debug("capabilities of the engine", "grant", g.String())
	}
	return *d.granted
}

func (d *Driver) guess(ctx context.Context) grant {
	last, err := capability.LastCap()
	if versions.LessThan(d.api.ClientVersion(), "1.42") {
		last = min(last, capability.CAP_AUDIT_READ) // Docker 20.10 refuses the names of later ones
	}
	if missing, ok := missingLocally(d.enginePID(), last); ok && err == nil {
		return grant{privileged: len(missing) == 0, missing: missing}
	}
	all, err := d.api.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelGrant))})
	if err == nil {
		for _, c := range all {
			if g, ok := parseGrant(c.Labels[labelGrant]); ok {
				return g
			}
		}
	}
	return grant{privileged: true}
}

// refused evaluates a refusal of g, and returns what to request next; false if there is nothing left. image is any
// image of the engine.
func (d *Driver) refused(ctx context.Context, g grant, image string, refusal error) (grant, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.granted != nil && d.granted.String() != g.String() {
		return *d.granted, true // another node's start has found out in the meantime
	}
	if !g.privileged {
		return grant{}, false
	}
	d.log.Info("the engine does not grant privileged containers", "cause", refusal)
	next := grant{kmsg: g.kmsg}
	if isCapabilityRefusal(refusal) {
		var names []string
		for _, c := range capability.ListKnown() {
			names = append(names, strings.ToUpper(c.String()))
		}
		next.missing = search(names, func(caps []string) verdict { return d.try(ctx, image, caps) })
	}
	d.granted = &next
	return next, true
}

// verdict is an engine's answer to a set of capabilities.
type verdict int

const (
	grants verdict = iota
	refuses
	invalid // it does not know one of them, which is therefore not part of its ALL either
)

// search returns those of names that are refused, by halving: about two trials per bit of the answer.
func search(names []string, try func([]string) verdict) []string {
	v := try(names)
	switch {
	case v == grants, v == invalid && len(names) == 1:
		return nil
	case len(names) == 1:
		return names
	}
	half := len(names) / 2
	return append(search(names[:half], try), search(names[half:], try)...)
}

// try asks the engine for a container with these capabilities. The container's program does not exist: runc
// applies capabilities before it looks for it, and nothing ever runs.
func (d *Driver) try(ctx context.Context, image string, caps []string) verdict {
	c, err := d.api.ContainerCreate(ctx,
		&container.Config{Image: image, Entrypoint: []string{"/no/such/program"}},
		&container.HostConfig{CapDrop: []string{"ALL"}, CapAdd: caps, NetworkMode: "none"}, nil, nil, "")
	if err != nil {
		return invalid
	}
	defer d.discard(ctx, c.ID)
	if err := d.api.ContainerStart(ctx, c.ID, container.StartOptions{}); err != nil && isCapabilityRefusal(err) {
		return refuses
	}
	return grants
}

// isRefusal reports whether a container did not start because the engine lacks a right.
func isRefusal(err error) bool {
	return strings.Contains(err.Error(), "operation not permitted") || strings.Contains(err.Error(), "permission denied")
}

// isCapabilityRefusal recognises runc's message ("unable to apply caps: operation not permitted").
func isCapabilityRefusal(err error) bool {
	return isRefusal(err) && strings.Contains(err.Error(), "apply caps")
}

// enginePID is the process that listens on the engine's socket: the engine, systemd in its place, or a proxy. 0 means
// that it is not on this machine, or not visible from here.
func (d *Driver) enginePID() int {
	path, ok := strings.CutPrefix(d.api.DaemonHost(), "unix://")
	if !ok {
		return 0
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return 0
	}
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) { pid = peerPID(int(fd)) }) // a closed connection leaves 0
	return pid
}

// missingLocally returns what the bounding set of a process lacks, up to the last relevant capability. ok is false if
// that says nothing about the engine: no process, or systemd, which holds the socket but does not have the engine's
// limits.
func missingLocally(pid int, last capability.Cap) (missing []string, ok bool) {
	if pid <= 1 {
		return nil, false
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, false
	}
	_, rest, _ := strings.Cut(string(status), "CapBnd:")
	field, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	bounding, err := strconv.ParseUint(field, 16, 64)
	if err != nil {
		return nil, false
	}
	for _, c := range capability.ListKnown() {
		if c <= last && bounding&(1<<uint(c)) == 0 {
			missing = append(missing, strings.ToUpper(c.String()))
		}
	}
	return missing, true
}
