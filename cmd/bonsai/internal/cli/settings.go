package cli

import (
	"cmp"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/plan"
)

// wishSettings adds the settings of components that flags give to a wish, and returns what is wrong with them.
func (a *app) wishSettings(wish *plan.Wish, o startOptions) (errs []error) {
	if len(o.gates)+len(o.args) == 0 {
		return nil
	}
	gates, err := cluster.ParseFeatureGates(o.gates)
	if err != nil {
		errs = append(errs, fault.New(fault.Usage, "", err).Advise("for example:  --feature-gates InPlacePodVerticalScaling=true"))
	}
	args, err := cluster.ParseArgs(o.args)
	if err != nil {
		errs = append(errs, fault.New(fault.Usage, "", err).Advise("for example:  --extra-config apiserver.v=4"))
	}
	wish.Settings = &cluster.Settings{FeatureGates: gates, Args: args}
	wrong := a.wrongSettings(*wish)
	for _, path := range sortedKeys(wrong) {
		errs = append(errs, fault.New(fault.Usage, path, wrong[path]))
	}
	return errs
}

// wrongSettings returns what is wrong with the settings of a wish, by their paths in a cluster file. The version of a cluster
// that exists cannot be changed.
func (a *app) wrongSettings(w plan.Wish) map[string]error {
	if a.CheckSettings == nil || w.Settings == nil {
		return nil
	}
	name := a.profile
	if !a.profileGiven {
		name = cmp.Or(w.Name, name)
	}
	minor, _, err := cluster.ParseKubernetesVersion(w.KubernetesVersion, a.Info.Kubernetes)
	if err != nil { // which is a mistake already
		return nil
	}
	if s, err := a.open(); err == nil && s.State.Cluster(name).Exists() {
		if spec, err := s.State.Cluster(name).LoadSpec(); err == nil {
			minor = spec.KubernetesVersion
		}
	}
	return a.CheckSettings(*w.Settings, minor)
}
