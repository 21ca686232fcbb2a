package bootstrap

import (
	"context"
	"errors"
	"maps"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/localapi"
	"bonsai/bootstrap/statedir"
)

const (
	// addonsLimit bounds a question to the daemon; it answers from what it has in memory.
	addonsLimit = 3 * time.Second
	reloadLimit = 15 * time.Second
)

// Addons asks the cluster's daemon how every addon does. Without one it is the fault NotRunning.
func (m *Manager) Addons(ctx context.Context, name string) ([]cluster.AddonStatus, error) {
	client, err := m.livingDaemon(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := m.limit(ctx, addonsLimit, "an answer from the daemon")
	defer cancel()
	return client.Addons(ctx)
}

// WatchAddons calls f with the addons of the cluster that are enabled or not gone yet, at once and after each change,
// until f fails, whose error is returned as it is, or ctx ends. Without a daemon it is the fault NotRunning.
func (m *Manager) WatchAddons(ctx context.Context, name string, f func([]cluster.AddonStatus) error) error {
	client, err := m.livingDaemon(name)
	if err != nil {
		return err
	}
	if err := client.Watch(ctx, func(s cluster.Snapshot) error { return f(s.Addons) }); err != nil {
		return err
	}
	return fault.Newf(fault.NotRunning, "the cluster was stopped meanwhile")
}

func (m *Manager) livingDaemon(name string) (*localapi.Client, error) {
	state := m.env.Dir.Cluster(name)
	switch {
	case !state.Exists():
		return nil, statedir.NotFound(name)
	case !state.DaemonAlive():
		return nil, fault.Newf(fault.NotRunning, "cluster %q is not running", name).WithHint("start it:  bonsai start -p %s", name)
	}
	return localapi.NewClient(state.APISocket()), nil
}

// SetAddons changes which addons the cluster is to have. change is given what was chosen so far, by name, and changes
// it; if it fails, its error is returned as it is and nothing has changed. A running control plane knows of it when
// SetAddons returns, and then begins to make it true, which WatchAddons tells of; running says whether there is one.
func (m *Manager) SetAddons(ctx context.Context, name string, change func(chosen map[string]bool) error) (running bool, err error) {
	state := m.env.Dir.Cluster(name)
	if !state.Exists() {
		return false, statedir.NotFound(name)
	}
	lock, err := state.Lock(ctx, "addons")
	if err != nil {
		return false, err
	}
	defer func() { _ = lock.Release() }()
	spec, err := state.LoadSpec()
	if err != nil {
		return false, err
	}
	old := *spec
	spec.Addons = maps.Clone(spec.Addons)
	if spec.Addons == nil {
		spec.Addons = map[string]bool{}
	}
	if err := change(spec.Addons); err != nil {
		return false, err
	}
	running = state.DaemonAlive()
	if maps.Equal(old.Addons, spec.Addons) {
		return running, nil
	}
	if err := state.SaveSpec(spec); err != nil {
		return false, err
	}
	if !running {
		return false, nil
	}
	ctx, cancel := m.limit(ctx, reloadLimit, "an answer from the daemon")
	defer cancel()
	if err := localapi.NewClient(state.APISocket()).Reload(ctx); err != nil {
		return false, errors.Join(
			fault.New(fault.ControlPlane, "tell the running control plane of its addons", err).
				WithHint("restart it:  bonsai stop -p %[1]s  and then  bonsai start -p %[1]s", name),
			state.SaveSpec(&old))
	}
	return true, nil
}
