package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/pki"
	"bonsai/bootstrap/statedir"
)

// expiryWarning is how long before their end status names certificates. A start renews them from then on.
const expiryWarning = pki.RenewBefore

// ensureCertificates writes the certificates of the wanted spec, and finds out which running parts still use others:
// processes read them once.
func (o *operation) ensureCertificates() error {
	before := map[string]string{}
	if o.Current.Spec != nil {
		for _, n := range o.Current.Spec.Nodes {
			// One that is not wanted any more loses its certificates; it is removed and not restarted.
			if _, wanted := o.Wanted.Spec.NodeByName(n.Name); wanted {
				before[n.Name] = o.state.Certificates(n.Name)
			}
		}
	}
	if err := pki.Ensure(o.state.PKI(), *o.Wanted.Spec); err != nil {
		return err
	}
	o.outdated.daemon = o.Current.Running && outdatedDaemon(o.state)
	for name, was := range before {
		if _, stays := o.Wanted.Spec.NodeByName(name); stays && was != "" && (o.outdated.daemon || o.state.Certificates(name) != was) {
			o.outdated.nodes = append(o.outdated.nodes, name)
		}
	}
	return nil
}

// outdatedDaemon reports whether the certificates on disk are others than those that the daemon has read.
func outdatedDaemon(state statedir.Cluster) bool {
	d, ok := state.Daemon()
	return ok && d.Certificates != "" && d.Certificates != state.Certificates("")
}

// haltOutdatedNodes stops running nodes whose certificates have changed, so that they are started with the new ones.
func (o *operation) haltOutdatedNodes(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range o.containers {
		if !c.Running || o.Wanted.Down[c.Node] || !slices.Contains(o.outdated.nodes, c.Node) {
			continue
		}
		g.Go(func() error {
			return o.rec.step("certificates/"+c.Node, "Restarting node "+c.Node+" with its new certificates", func(func(string)) error {
				return o.driver.StopNode(ctx, c.Name, o.env.Scale.Of(nodeGrace))
			})
		})
	}
	return g.Wait()
}

// RenewCertificates renews those of a running control plane that are about to expire, and returns their names. Its
// components read the files again within a minute; the daemon's own connections to agents do with the next one. Clients
// get theirs in the cluster's kubeconfig, and in the user's where a context leads to the cluster.
func RenewCertificates(ctx context.Context, state statedir.Cluster, now time.Time) (renewed []string, err error) {
	lock, err := state.LockExisting(ctx, "certificates")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	spec, err := state.LoadSpec()
	if err != nil {
		return nil, err
	}
	before := state.Certificates("")
	if renewed, err = pki.Renew(state.PKI(), *spec, now); err != nil || len(renewed) == 0 {
		return renewed, err
	}
	entry, err := kubeconfigEntry(state, spec)
	if err != nil {
		return renewed, err
	}
	return renewed, errors.Join(state.DaemonRenewed(before), statedir.WriteFile(state.Kubeconfig(), entry.File()), kubeconfig.Repair(entry))
}

// certificateProblems are those of certificates that expire soon, and of ones on disk that the running control plane does
// not use.
func certificateProblems(state statedir.Cluster, now time.Time) (list []cluster.Problem) {
	if state.DaemonAlive() && outdatedDaemon(state) {
		list = append(list, cluster.Problem{
			Kind: string(fault.ControlPlane), Severity: cluster.SeverityWarning, Object: "daemon",
			Summary: "the certificates on disk are not those that the running control plane uses",
			Cause:   "they were renewed or replaced after its start",
			Advice:  []cluster.Advice{cluster.Advise("restart with the new ones what uses the old ones", cluster.Bonsai("start").Cure())},
		})
	}
	expiry := map[string]time.Time{}
	nodes, _ := filepath.Glob(filepath.Join(state.PKI(), "nodes", "*"))
	for _, dir := range append(nodes, state.PKI()) {
		part, err := pki.Expiry(dir)
		if err != nil {
			return list // the next start creates them again
		}
		for name, until := range part {
			if dir != state.PKI() {
				name += " of node " + filepath.Base(dir)
			}
			expiry[name] = until
		}
	}
	if len(expiry) == 0 {
		return list
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(expiry)), func(a, b string) int { return expiry[a].Compare(expiry[b]) })
	if left := expiry[first].Sub(now); left < expiryWarning {
		summary := fmt.Sprintf("certificates expire in %d days", int(left.Hours()/24))
		if left < 0 {
			summary = "certificates have expired"
		}
		list = append(list, cluster.Problem{
			Kind: string(fault.ControlPlane), Severity: cluster.SeverityWarning, Object: "daemon", Summary: summary,
			Cause:  fmt.Sprintf("%s is valid until %s", first, expiry[first].Local().Format(time.DateOnly)),
			Advice: []cluster.Advice{cluster.Advise("renew them, and restart what uses them", cluster.Bonsai("start").Cure())},
		})
	}
	return list
}
