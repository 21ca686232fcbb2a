package addons

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"bonsai/bootstrap/cluster"
)

// inventory is what the cluster contains of each addon.
type inventory map[string][]ref

// pass brings everything into the desired state: what is not wanted is removed, first the addons that need others; then
// what is wanted is applied, in parallel.
func (m *Manager) pass(ctx context.Context) error {
	m.passing.Lock()
	defer m.passing.Unlock()
	ctx, cancel := m.limit(ctx, passLimit)
	defer cancel()
	owned, err := m.store.owned(ctx, prunable)
	if err != nil {
		return err
	}
	var errs []error
	left := map[string]bool{} // addons that could not be removed
	for _, d := range slices.Backward(m.catalog.Here()) {
		if err := m.remove(ctx, d.Name, owned[d.Name], left); err != nil {
			left[d.Name] = true
			errs = append(errs, err)
		}
	}
	errs = append(errs, each(m.wanted(), func(name string) error { return m.apply(ctx, name, owned[name]) }))
	return errors.Join(errs...)
}

// remove stops the controller of an addon that is not wanted, and then deletes its objects.
func (m *Manager) remove(ctx context.Context, name string, owned []ref, left map[string]bool) error {
	m.mu.Lock()
	p, c := m.parts[name], m.cluster
	turn, wanted := p.turns, p.wanted
	m.mu.Unlock()
	if wanted {
		return nil
	}
	err := func() error {
		for _, d := range m.catalog.Here() {
			if left[d.Name] && slices.Contains(d.Needs, name) {
				return fmt.Errorf("waiting for %s, which needs it, to be removed", d.Name)
			}
		}
		if err := m.stopRunner(ctx, name); err != nil {
			return err
		}
		if r, ok := m.addons[name].(Remover); ok {
			c.Log = c.Log.With("addon", name)
			if err := r.Remove(ctx, c); err != nil {
				return err
			}
		}
		return each(owned, func(r ref) error { return m.store.remove(ctx, r) })
	}()
	m.seen(name, turn, func(p *part) { p.err, p.present = err, len(owned) })
	if err != nil {
		return fmt.Errorf("remove addon %s: %w", name, err)
	}
	return nil
}

// apply brings the objects of one addon into the desired state, and deletes what it had in an earlier version. owned is
// what the cluster contains of it, nil if unknown.
func (m *Manager) apply(ctx context.Context, name string, owned []ref) error {
	m.mu.Lock()
	turn, c, store := m.parts[name].turns, m.cluster, m.store
	m.mu.Unlock()
	wants := map[string]ref{}
	err := func() error {
		if d, ok := m.addons[name].(Definer); ok {
			if err := d.Define(ctx, c); err != nil {
				return err
			}
		}
		var list []*unstructured.Unstructured
		for _, object := range m.addons[name].Objects(c) {
			u, err := toUnstructured(object, name)
			if err != nil {
				return err
			}
			list = append(list, u)
			wants[refOf(u).key()] = refOf(u)
		}
		known := map[string]bool{}
		for _, r := range owned {
			known[r.key()] = true
		}
		if err := each(list, func(u *unstructured.Unstructured) error { return store.apply(ctx, u, known[refOf(u).key()]) }); err != nil {
			return err
		}
		return each(owned, func(r ref) error {
			if _, wanted := wants[r.key()]; wanted {
				return nil
			}
			return store.remove(ctx, r)
		})
	}()
	m.seen(name, turn, func(p *part) {
		p.err = err
		if err == nil {
			p.applied, p.wants, p.missing = true, wants, nil
		}
	})
	if err != nil {
		return fmt.Errorf("apply addon %s: %w", name, err)
	}
	return nil
}

// observe checks the health of what is applied, and with list also lists the objects of all addons.
func (m *Manager) observe(ctx context.Context, list bool) {
	m.looking.Lock()
	defer m.looking.Unlock()
	ctx, cancel := m.limit(ctx, lookLimit)
	defer cancel()
	m.mu.Lock()
	c, store, turns := m.cluster, m.store, map[string]int{}
	for name, p := range m.parts {
		turns[name] = p.turns
	}
	m.mu.Unlock()
	if store == nil {
		return
	}
	if list {
		if owned, err := store.owned(ctx, m.expected()); err != nil {
			m.opts.Log.Debug("the objects of addons cannot be listed", "err", err)
		} else {
			m.count(ctx, owned, turns)
		}
	}
	var wg sync.WaitGroup
	for _, name := range m.wanted() {
		wg.Go(func() {
			state, reason, advice := m.addons[name].Health(ctx, c)
			if state != cluster.AddonRunning && ctx.Err() != nil {
				return // no answer in time, so nothing is known
			}
			m.seen(name, turns[name], func(p *part) { p.health, p.reason, p.advice = state, reason, advice })
		})
	}
	wg.Wait()
}

// expected are the kinds of which there should be objects, or of which some are being deleted: usually few, which keeps
// observing cheap.
func (m *Manager) expected() (kinds []schema.GroupVersionKind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.parts {
		if !p.wanted && p.present > 0 {
			return prunable
		}
		for _, r := range p.wants {
			if !slices.Contains(kinds, r.gvk()) {
				kinds = append(kinds, r.gvk())
			}
		}
	}
	return kinds
}

// count compares what the cluster contains with what it should.
func (m *Manager) count(ctx context.Context, owned inventory, turns map[string]int) {
	for name, turn := range turns {
		there := map[string]bool{}
		for _, r := range owned[name] {
			there[r.key()] = true
		}
		m.mu.Lock()
		wants, store := m.parts[name].wants, m.store // never changed once it is set
		m.mu.Unlock()
		var missing []ref
		for _, key := range slices.Sorted(maps.Keys(wants)) {
			if there[key] {
				continue
			}
			// A recently created object may not be in the list yet.
			if exists, err := store.exists(ctx, wants[key]); err == nil && !exists {
				missing = append(missing, wants[key])
			}
		}
		m.seen(name, turn, func(p *part) { p.present, p.missing = len(there), missing })
		if len(missing) > 0 {
			wake(m.reconcile)
		}
	}
}

// seen records what was observed about an addon, unless it was enabled, disabled or configured in the meantime.
func (m *Manager) seen(name string, turn int, note func(*part)) {
	m.update(func() {
		if p := m.parts[name]; p.turns == turn {
			note(p)
		}
	})
}

// each calls f for all of list in parallel and joins the errors.
func each[T any](list []T, f func(T) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, v := range list {
		wg.Go(func() { errs[i] = f(v) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
