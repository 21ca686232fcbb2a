package cli

import (
	"maps"
	"slices"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// wishedAddons adds to a wish what follows from it for addons.
func (a *app) wishedAddons(s Session, wish *plan.Wish) (err error) {
	if err := a.addonsOfPart(s, wish); err != nil {
		return err
	}
	wish.Addons, err = a.wishAddons(s, wish.Addons)
	return err
}

// addonsOfPart turns off what a new cluster without controllers would have by default: who leaves them out wants an API and
// nothing else. What the wish names is left alone, and what it needs.
func (a *app) addonsOfPart(s Session, wish *plan.Wish) error {
	if wish.Components == nil || slices.Contains(wish.Components, cluster.ControllerManager) {
		return nil
	}
	if _, err := a.spec(s); fault.KindOf(err) != fault.NotFound {
		return nil // it keeps what it has; a start says what is wrong with it
	}
	c, err := a.catalog()
	if err != nil {
		return err
	}
	var on []string
	for _, name := range sortedKeys(wish.Addons) {
		if wish.Addons[name] {
			on = append(on, name)
		}
	}
	on = append(on, c.NeededBy(on...)...)
	addons := maps.Clone(wish.Addons)
	if addons == nil {
		addons = map[string]bool{}
	}
	for name, byDefault := range c.Wanted(nil) {
		if _, named := addons[name]; byDefault && !named && !slices.Contains(on, name) {
			addons[name] = false
		}
	}
	wish.Addons = addons
	return nil
}

// wishAddons adds to the addons that a wish turns on those that they need, and refuses a wish that turns one of these off.
func (a *app) wishAddons(s Session, wished map[string]bool) (map[string]bool, error) {
	if len(wished) == 0 {
		return nil, nil
	}
	c, err := a.catalog()
	if err != nil {
		return nil, err
	}
	chosen := map[string]bool{}
	if spec, err := a.spec(s); err == nil {
		maps.Copy(chosen, spec.Addons)
	}
	maps.Copy(chosen, wished)
	var on, off []string
	for _, name := range sortedKeys(wished) {
		if wished[name] {
			on = append(on, name)
		} else {
			off = append(off, name)
		}
	}
	if users := c.Needing(c.Wanted(chosen), off...); len(users) > 0 {
		return nil, fault.Newf(fault.Addon, "%s cannot be disabled: %s needs it", addonNames(off), addonNames(users)).
			Advise("write them into the file as false, too")
	}
	wanted := maps.Clone(wished)
	for _, name := range a.withNeeds(c, chosen, on) {
		wanted[name] = true
	}
	return wanted, nil
}
