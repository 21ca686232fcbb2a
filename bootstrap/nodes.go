package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/componentlog"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/limits"
	"bonsai/bootstrap/localtime"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/plan"
)

// ensureNodes brings the engine to the desired state: the containers of planned nodes and no others, running or not. serving is
// closed when the control plane is ready.
func (o *operation) ensureNodes(ctx context.Context, serving <-chan struct{}) error {
	if !o.touchesNodes() {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return o.removeNodes(gctx) })
	g.Go(func() error { return o.haltNodes(gctx) })
	g.Go(func() error {
		nodes := o.affectedNodes()
		if len(nodes) == 0 {
			return nil
		}
		if err := o.haltOutdatedNodes(gctx); err != nil {
			return err
		}
		if err := o.haltRemounted(gctx); err != nil {
			return err
		}
		o.awaitImages(nodes)
		payload, err := o.prepareNodes(gctx, o.Wanted.Spec)
		if err != nil {
			return err
		}
		rolling := o.rolling(nodes, payload)
		others := slices.DeleteFunc(nodes, func(n cluster.Node) bool {
			return slices.ContainsFunc(rolling, func(r cluster.Node) bool { return r.Name == n.Name })
		})
		if err := o.runContainers(gctx, o.Wanted.Spec, others, payload); err != nil {
			return err
		}
		if err := o.roll(gctx, rolling, payload, serving); err != nil {
			return err
		}
		if err := o.reloadKubelets(gctx); err != nil {
			return err
		}
		if err := o.reloadRegistries(gctx); err != nil {
			return err
		}
		return o.bringImages(gctx)
	})
	return g.Wait()
}

// removeNodes removes what is not in the plan: nodes that are no longer wanted, and those that were being added by a
// command that was killed before it could remove them.
func (o *operation) removeNodes(ctx context.Context) error {
	if len(o.Wanted.Spec.Nodes) == 0 { // and the network, because no later command asks the engine
		return o.rec.step("containers", "Removing all nodes and their network", func(func(string)) error {
			return o.driver.RemoveCluster(ctx, o.Wanted.Spec.ID)
		})
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range o.containers {
		if _, planned := o.Wanted.Spec.NodeByName(c.Node); planned {
			continue
		}
		g.Go(func() error {
			return o.rec.step("container/"+c.Node, "Removing node "+c.Node, func(func(string)) error {
				return o.driver.RemoveNode(ctx, c.ClusterID, c.Node)
			})
		})
	}
	return g.Wait()
}

// haltNodes stops nodes that should be stopped.
func (o *operation) haltNodes(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range o.containers {
		if !c.Up() || !o.Wanted.Down[c.Node] {
			continue
		}
		g.Go(func() error {
			return o.rec.step("container/"+c.Node, "Stopping node "+c.Node, func(func(string)) error {
				return o.stopNode(ctx, o.driver, c)
			})
		})
	}
	return g.Wait()
}

// runNodes makes sure that payload, network and containers of nodes exist as in spec, and run.
func (o *operation) runNodes(ctx context.Context, spec *cluster.Spec, nodes []cluster.Node) error {
	payload, err := o.prepareNodes(ctx, spec)
	if err != nil {
		return err
	}
	return o.runContainers(ctx, spec, nodes, payload)
}

// prepareNodes makes sure that payload and network exist.
func (o *operation) prepareNodes(ctx context.Context, spec *cluster.Spec) (node.Payload, error) {
	payload, err := o.env.Payload()
	if err != nil {
		return payload, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return o.rec.step("payload", "Node payload", func(waitingFor func(string)) error {
			last := time.Time{}
			return o.driver.EnsurePayload(gctx, payload, func(done, total int64) {
				if now := time.Now(); now.Sub(last) > 200*time.Millisecond && total > 0 {
					last = now
					waitingFor(fmt.Sprintf("copying into the engine: %d of %d MB", done>>20, total>>20))
				}
			})
		})
	})
	g.Go(func() error {
		return o.rec.step("network", "Network "+spec.Subnet.String(), func(func(string)) error {
			err := o.driver.EnsureNetwork(gctx, spec)
			if err == nil {
				o.choice.seen()
			}
			return err
		})
	})
	return payload, g.Wait()
}

// runContainers makes sure that the containers of nodes exist as in spec, and run.
func (o *operation) runContainers(ctx context.Context, spec *cluster.Spec, nodes []cluster.Node, payload node.Payload) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		g.Go(func() error {
			return o.rec.step("container/"+n.Name, "Container "+n.Name, func(func(string)) error {
				return o.ensureNode(gctx, spec, n, payload)
			})
		})
	}
	return g.Wait()
}

// ensureNode makes sure that the container of one node exists as in spec, and runs.
func (o *operation) ensureNode(ctx context.Context, spec *cluster.Spec, n cluster.Node, payload node.Payload) error {
	files, err := o.nodeFiles(spec, n)
	if err != nil {
		return err
	}
	wanted := node.NodeSpec{Spec: spec, Node: n, Payload: payload.Hash, Image: payload.ImageRef, Files: files}
	if o.restoring.claims != nil {
		wanted.Data = o.restoring.claims(slices.IndexFunc(spec.Nodes, func(m cluster.Node) bool { return m.Name == n.Name }))
	}
	return o.driver.EnsureNode(ctx, wanted)
}

// nodeFiles are the configuration and the certificates of one node, and this machine's time zone.
func (o *operation) nodeFiles(spec *cluster.Spec, n cluster.Node) ([]node.File, error) {
	server := fmt.Sprintf("https://%s", netip.AddrPortFrom(spec.Gateway, uint16(spec.APIPort)))
	cfg := spec.NodeConfigFor(n, server, o.env.Scale)
	if r, done, ok := o.state.ClaimsRestore(); ok && done {
		cfg.Claims = r.ID
	}
	cfg.AwaitImages = o.held[n.Name]
	config, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode configuration of node %s: %w", n.Name, err)
	}
	files := []node.File{{Path: cluster.NodeConfigFile, Mode: 0o600, Data: config}}
	certificates, err := pki.NodeFiles(o.state.PKI(), n)
	if err != nil {
		return nil, err
	}
	for name, data := range certificates {
		files = append(files, node.File{Path: cluster.NodePKIDir + "/" + name, Mode: 0o600, Data: data})
	}
	// The image has UTC. Pods mount these two to have the time of the machine that they run on.
	if zone := localtime.Of("/"); zone.Rules != nil {
		files = append(files, node.File{Path: cluster.NodeMachineDir + "/localtime", Mode: 0o644, Data: zone.Rules})
		if zone.Name != "" {
			files = append(files, node.File{Path: cluster.NodeMachineDir + "/timezone", Mode: 0o644, Data: []byte(zone.Name + "\n")})
		}
	}
	return files, nil
}

// reloadKubelets makes the kubelets of nodes that kept running read their settings and limits, if these have changed. The
// scheduler sees the limits.
func (o *operation) reloadKubelets(ctx context.Context) error {
	all := o.Restarts(plan.PartKubelet)
	if !all && !o.Has(plan.KindResizeNode) {
		return nil
	}
	return o.inStillRunning(ctx, func(c node.Container) error {
		if !all && !slices.ContainsFunc(o.Changes, func(ch plan.Change) bool { return ch.Kind() == plan.KindResizeNode && ch.Object() == "node/"+c.Node }) {
			return nil
		}
		return o.rec.step("kubelet/"+c.Node, "Kubelet of "+c.Node, func(func(string)) error {
			return o.agentTool(ctx, c, "limits", kubeletLimit, "have the kubelet of node "+c.Node+" read its settings")
		})
	})
}

// inStillRunning calls f, side by side, for each node container that has been running since before this run.
func (o *operation) inStillRunning(ctx context.Context, f func(node.Container) error) error {
	now, err := o.driver.List(ctx, o.Wanted.Spec.ID)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for _, c := range now {
		if c.Running && slices.ContainsFunc(o.containers, func(b node.Container) bool { return b.ID == c.ID && b.Started.Equal(c.Started) }) {
			g.Go(func() error { return f(c) })
		}
	}
	return g.Wait()
}

// agentTool runs one of the agent's tools in a node; op is what it does.
func (o *operation) agentTool(ctx context.Context, c node.Container, tool string, limit time.Duration, op string) error {
	ctx, cancel := o.limit(ctx, limit, "node "+c.Node+" to run bonsai-agent "+tool)
	defer cancel()
	var out bytes.Buffer
	code, err := o.driver.Exec(ctx, c.Name, node.Exec{Cmd: []string{"bonsai-agent", tool}, Stdout: &out, Stderr: &out})
	if err == nil && code == 0 {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("bonsai-agent exited with code %d", code)
	}
	return fault.New(fault.Node, op, err).WithEvidence(componentlog.Troubles(out.String(), evidenceLines)...).
		Advise("restart the nodes", cluster.Bonsai("stop").Of(c.Cluster).Change(), cluster.Bonsai("start").Of(c.Cluster).Change())
}

// reloadRegistries makes nodes that were running before use their rewritten configuration; those that have just started
// have read it. With mirrors, authorities or a proxy every start does this, because the previous command may have been killed halfway.
func (o *operation) reloadRegistries(ctx context.Context) error {
	r := o.Wanted.Spec.Registries
	if len(r.Mirrors) == 0 && r.Authorities == "" && o.Wanted.Spec.Proxy == (cluster.Proxy{}) && !o.Has(plan.KindRegistry, plan.KindTrust, plan.KindProxy) {
		return nil
	}
	return o.inStillRunning(ctx, func(c node.Container) error {
		return o.rec.step("registries/"+c.Node, "Registries of "+c.Node, func(func(string)) error {
			return o.agentTool(ctx, c, "registries", registriesLimit, "configure how node "+c.Node+" reaches registries")
		})
	})
}

const (
	stepDNS = "dns"
	// apiServiceName exists in every cluster; a node that answers it has the cluster's records.
	apiServiceName = "kubernetes.default.svc." + cluster.ClusterDomain
	// registriesLimit bounds the writing of a few files in a node, and a restart of its containerd.
	registriesLimit = 10 * time.Second
	// kubeletLimit bounds a restart of its kubelet.
	kubeletLimit = 20 * time.Second
)

// waitNodes returns when every affected node is Ready and cluster names are answered on a node, with one step per node that was
// not waited for before, and one for DNS.
func (o *operation) waitNodes(ctx context.Context) error {
	nodes := o.affectedNodes()
	if len(nodes) == 0 {
		return nil
	}
	nodes = slices.DeleteFunc(nodes, func(n cluster.Node) bool { return slices.Contains(o.rolled, n.Name) })
	return o.waitFor(ctx, nodes, o.Wanted.Spec.Wants(cluster.DNSAddon, true))
}

// waitFor returns when these nodes are Ready and, with names, cluster names are answered on any node.
func (o *operation) waitFor(ctx context.Context, nodes []cluster.Node, names bool) error {
	ctx, cancel := o.limit(ctx, nodesLimit, "all nodes to become Ready and answer DNS")
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	begin := time.Now()
	for _, n := range nodes {
		o.rec.emit(cluster.Event{Kind: cluster.StepStarted, Step: "node/" + n.Name, Title: "Node " + n.Name, Detail: "waiting for its kubelet to report Ready"})
	}
	if names {
		o.rec.emit(cluster.Event{Kind: cluster.StepStarted, Step: stepDNS, Title: "Cluster DNS", Detail: "waiting for a node to answer " + apiServiceName})
	}
	var probes sync.WaitGroup
	defer probes.Wait()
	defer giveUp(nil)
	probes.Go(func() { o.watchContainers(ctx, giveUp) })
	probes.Go(func() { o.watchReachability(ctx, giveUp) })

	since, err := o.containersStarted(ctx)
	if err != nil {
		return err
	}
	ready := map[string]bool{}
	answered := !names
	errAllReady := errors.New("all nodes are ready")
	missing := func() (list []string) {
		for _, n := range nodes {
			if !ready[n.Name] {
				list = append(list, n.Name)
			}
		}
		return list
	}
	var suspect *cluster.Problem // what is wrong with a node that is not ready
	err = o.client().Watch(ctx, func(snapshot cluster.Snapshot) error {
		for _, n := range nodes {
			if !ready[n.Name] && nodeReady(snapshot, n.Name, since[n.Name]) {
				ready[n.Name] = true
				o.rec.emit(cluster.Event{Kind: cluster.StepDone, Step: "node/" + n.Name, Elapsed: time.Since(begin)})
			}
		}
		if !answered && slices.ContainsFunc(snapshot.Nodes, func(n cluster.NodeStatus) bool { return n.DNS == cluster.PhaseRunning }) {
			answered = true
			o.rec.emit(cluster.Event{Kind: cluster.StepDone, Step: stepDNS, Elapsed: time.Since(begin)})
		}
		if answered && len(ready) == len(nodes) {
			return errAllReady
		}
		if c := culprit(snapshot, missing()); c != nil {
			suspect = c
			if _, limit := limits.Recognize(c.Cause); limit && c.Count >= hopeless {
				return componentFault("wait for "+strings.Join(missing(), ", "), c)
			}
		}
		return nil
	})
	if errors.Is(err, errAllReady) {
		return nil
	}
	if err == nil {
		err = errors.New("the daemon exited")
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case o.daemonEnded():
		err = o.daemonFailure(ctx, nil, err)
	}
	late := missing()
	if _, known := errors.AsType[*fault.Fault](err); !known && len(late) > 0 && suspect != nil && errors.Is(err, context.DeadlineExceeded) {
		// What a component has said about itself explains more than that it was waited for.
		err = componentFault("wait for "+strings.Join(late, ", "), suspect)
	}
	for _, name := range late {
		o.rec.emit(cluster.Event{Kind: cluster.StepFailed, Step: "node/" + name, Detail: err.Error(), Elapsed: time.Since(begin)})
	}
	if !answered {
		late = append(late, "cluster DNS")
		o.rec.emit(cluster.Event{Kind: cluster.StepFailed, Step: stepDNS, Detail: err.Error(), Elapsed: time.Since(begin)})
	}
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		return f
	}
	return fault.New(fault.Node, "wait for "+strings.Join(late, ", "), err)
}

// containersStarted says when each node's container started.
func (o *operation) containersStarted(ctx context.Context) (map[string]time.Time, error) {
	containers, err := o.driver.List(ctx, o.Wanted.Spec.ID)
	if err != nil {
		return nil, err
	}
	started := map[string]time.Time{}
	for _, c := range containers {
		started[c.Node] = c.Started
	}
	return started, nil
}
