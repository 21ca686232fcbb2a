package bootstrap

import (
	"context"
	"maps"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/plan"
)

// SetMirrors changes what an existing cluster asks before registries. change receives the mirrors by registry, and modifies them; an
// empty list is none. If it fails, its error is returned unchanged and nothing has changed. When SetMirrors returns, running nodes
// ask the new ones at their next pull; running reports whether there are any.
func (m *Manager) SetMirrors(ctx context.Context, name string, change func(map[string][]cluster.Mirror) error) (running bool, err error) {
	spec, err := m.env.Dir.Cluster(name).LoadSpec()
	p := parts{engine: err == nil && len(spec.Nodes) > 0} // whoever has the lock next finds out why it cannot be read
	done, err := m.change(ctx, "registry mirror", name, func(current plan.State, env plan.Environment) (plan.State, error) {
		mirrors := map[string][]cluster.Mirror{}
		for registry, list := range current.Spec.Registries.Mirrors {
			mirrors[registry] = slices.Clone(list)
		}
		if err := change(mirrors); err != nil {
			return current, err
		}
		for registry := range maps.Keys(current.Spec.Registries.Mirrors) {
			if _, ok := mirrors[registry]; !ok {
				mirrors[registry] = nil // or it would stay as it is
			}
		}
		return plan.Wish{Name: name, Registries: cluster.Registries{Mirrors: mirrors}}.Kept(current, env)
	}, Run{}, p)
	return done.Current.Running && err == nil, err
}
