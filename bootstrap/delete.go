package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kubeconfig"
	"bonsai/bootstrap/node"
	"bonsai/bootstrap/statedir"
)

const (
	deleteLimit = 60 * time.Second
	// foreignLimit is for optional questions to the engine.
	foreignLimit = 2 * time.Second
)

// Delete removes every trace of the cluster: daemon, containers, volumes, network, state folder and the entries in the
// kubeconfig. It also works on incomplete and broken clusters, and never touches a cluster of another state folder. If
// the engine does not answer, everything else is removed and the fault says how to remove the containers later. A
// kubeconfig that cannot be changed is a warning: everything of the cluster is gone. If ctx ends, the state folder stays,
// for another Delete.
func (m *Manager) Delete(ctx context.Context, name string, events func(cluster.Event)) error {
	state := m.env.Dir.Cluster(name)
	if !state.Exists() {
		return m.notHere(ctx, name)
	}
	rec := newRecorder("delete", events, m.env.Log)
	lock, err := state.LockExisting(ctx, "delete")
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if err := state.CheckRemovable(); err != nil {
		return err
	}
	needsEngine := true
	if spec, err := state.LoadSpec(); err == nil && len(spec.Nodes) == 0 {
		needsEngine = false // made without an engine, which may not even be installed
	}
	limited, cancel := m.limit(ctx, deleteLimit, "the delete")
	defer cancel()

	id, ca := state.ID(), authority(state)
	var engineErr error
	var engine sync.WaitGroup
	if needsEngine {
		engine.Go(func() { engineErr = m.removeFromEngine(limited, rec, id, name) })
	}
	err = rec.step("daemon", "Control plane", func(func(string)) error {
		// Its data is deleted: there is nothing to stop in order.
		return m.killDaemon(limited, state)
	})
	engine.Wait()
	// Without the state folder, another delete could find neither the rest on the engine nor a daemon that does not end.
	switch {
	case ctx.Err() != nil:
		return fault.Newf(fault.Canceled, "delete was cancelled, and is not complete").
			Advise("delete the rest", cluster.Bonsai("delete").Of(name).Change())
	case err != nil:
		return errors.Join(err, engineErr)
	}
	err = rec.step("state", "Certificates, data and kubeconfig entries", func(func(string)) error {
		if _, err := kubeconfig.Remove(ca); err != nil {
			rec.warnOf("kubeconfig", err)
		}
		m.forgetNames(limited, rec, name, id)
		if err := state.Remove(); err != nil {
			return err
		}
		if _, err := CollectImages(limited, m.env.Dir); err != nil {
			rec.warnOf("images", err) // everything of the cluster is gone
		}
		return nil
	})
	if err == nil && engineErr == nil && needsEngine {
		err = m.prunePayloads(limited)
	}
	return errors.Join(removeLater(engineErr, cmp.Or(id, name)), err)
}

// forgetNames takes back what this machine's resolver was configured with. Without root it is a warning, with the commands: nothing
// of the cluster is left by it, and names that nobody answers do no harm.
func (m *Manager) forgetNames(ctx context.Context, rec *recorder, name, id string) {
	if id == "" {
		return
	}
	c, ok := m.env.Resolver.Installed(name, id)
	if !ok {
		return
	}
	if err := m.env.Resolver.Remove(ctx, c); err != nil {
		rec.warnOf("names", err)
	}
}

// removeLater adds to the error of a removal from the engine how to repeat it when the state folder is gone.
func removeLater(err error, nameOrID string) error {
	if f, ok := errors.AsType[*fault.Fault](err); ok {
		f.Advise("remove the rest when the container engine answers", deleteForeign(nameOrID))
	}
	return err
}

// removeFromEngine removes a cluster's containers, volumes and networks. Without an ID it is unknown which are its own.
func (m *Manager) removeFromEngine(ctx context.Context, rec *recorder, id, name string) error {
	return rec.step("containers", "Containers, volumes and network", func(func(string)) error {
		driver, err := m.env.Driver()
		if err != nil {
			return err
		}
		defer func() { _ = driver.Close() }()
		if id != "" {
			return driver.RemoveCluster(ctx, id)
		}
		holdings, err := driver.Holdings(ctx)
		if err == nil && slices.ContainsFunc(holdings, func(h node.Holding) bool { return h.Cluster == name }) {
			err = fault.Newf(fault.SpecBroken, "the ID of cluster %q is lost, and the container engine has containers of that name", name)
		}
		return err
	})
}

// authority is the cluster's CA by which its entry in a kubeconfig is recognised; nil if it is lost.
func authority(state statedir.Cluster) []byte {
	ca, err := os.ReadFile(filepath.Join(state.PKI(), "ca.crt"))
	if err != nil {
		return nil
	}
	return ca
}

// notHere is the fault for a cluster that this state folder does not have. It also says if the engine has one of that
// name.
func (m *Manager) notHere(ctx context.Context, name string) error {
	f := statedir.NotFound(name)
	foreign, err := m.Foreign(ctx)
	if err != nil || !slices.ContainsFunc(foreign, func(h node.Holding) bool { return h.Cluster == name }) {
		return f // a missing engine has none
	}
	return fault.Newf(fault.NotFound, "%s has no cluster %q; the container engine has one of that name, made from another state folder",
		m.env.Dir.Root, name).Advise("if it is yours and no longer wanted", deleteForeign(name))
}

// Foreign lists what the engine has of clusters that this state folder does not know: those of other users and state
// folders, and the rest of clusters whose state folder is gone. It answers within seconds.
func (m *Manager) Foreign(ctx context.Context) ([]node.Holding, error) {
	driver, err := m.env.Driver()
	if err != nil {
		return nil, err
	}
	defer func() { _ = driver.Close() }()
	ctx, cancel := m.limit(ctx, foreignLimit, "an answer from the container engine")
	defer cancel()
	holdings, err := driver.Holdings(ctx)
	if err != nil {
		return nil, err
	}
	names, err := m.List() // after the engine: a cluster that is being created has its state folder first
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		id := m.env.Dir.Cluster(name).ID()
		holdings = slices.DeleteFunc(holdings, func(h node.Holding) bool { return h.ID == id })
	}
	return holdings, nil
}

// ForeignCluster returns what Foreign has of one cluster, by name or ID. If several clusters have the name, it is a
// conflict, whose hint lists their IDs.
func (m *Manager) ForeignCluster(ctx context.Context, nameOrID string) (node.Holding, error) {
	all, err := m.Foreign(ctx)
	if err != nil {
		return node.Holding{}, err
	}
	var found []node.Holding
	for _, h := range all {
		if h.ID == nameOrID {
			return h, nil
		}
		if h.Cluster == nameOrID {
			found = append(found, h)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		f := fault.Newf(fault.Conflict, "the container engine has %d clusters %q of other state folders", len(found), nameOrID)
		for _, h := range found {
			f = f.Advise(strings.Join(slices.Concat(h.Containers, h.Volumes, h.Networks), ", "), deleteForeign(h.ID))
		}
		return node.Holding{}, f
	case m.env.Dir.Cluster(nameOrID).Exists():
		return node.Holding{}, fault.Newf(fault.NotFound, "%q is a cluster of this state folder, and the container engine has no other of that name", nameOrID).
			Advise("delete it", cluster.Bonsai("delete").Of(nameOrID).Change())
	}
	return node.Holding{}, fault.Newf(fault.NotFound, "the container engine has nothing of a cluster %q of another state folder", nameOrID)
}

func deleteForeign(nameOrID string) cluster.Command {
	return cluster.Bonsai("delete").With("--foreign", nameOrID).OfNone().Change()
}

// DeleteForeign removes containers, volumes and networks of a cluster that Foreign lists, by ID. Its control plane and
// its state folder stay, if they still exist.
func (m *Manager) DeleteForeign(ctx context.Context, id string, events func(cluster.Event)) error {
	h, err := m.ForeignCluster(ctx, id)
	if err != nil {
		return err
	}
	ctx, cancel := m.limit(ctx, deleteLimit, "the delete")
	defer cancel()
	if err := m.removeFromEngine(ctx, newRecorder("delete", events, m.env.Log), h.ID, h.Cluster); err != nil {
		return err
	}
	return m.prunePayloads(ctx)
}

// prunePayloads removes the payloads of versions that no cluster uses.
func (m *Manager) prunePayloads(ctx context.Context) error {
	payload, err := m.env.Payload()
	if err != nil {
		return nil // an executable without a payload has nothing to keep, and cannot know what others need
	}
	driver, err := m.env.Driver()
	if err != nil {
		return err
	}
	defer func() { _ = driver.Close() }()
	return driver.PrunePayloads(ctx, payload.Hash)
}
