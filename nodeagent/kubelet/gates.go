package kubelet

import (
	"log/slog"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// setGates turns gates of the process on or off, which kubelet and kube-proxy share, and returns those that it could. Nodes
// of an emulated older version run the current code, in which some gates of that version can no longer be changed.
func setGates(wanted map[string]bool, log *slog.Logger) map[string]bool {
	set := map[string]bool{}
	gates := utilfeature.DefaultMutableFeatureGate
	for name, on := range wanted {
		one := map[string]bool{name: on}
		// A copy is asked before: the process's own keeps what it has refused.
		if err := gates.DeepCopy().SetFromMap(one); err != nil {
			log.Warn("a feature gate does not apply to nodes", "gate", name, "cause", err)
			continue
		}
		set[name] = on
	}
	// Together, because some depend on others.
	if err := gates.DeepCopy().SetFromMap(set); err != nil {
		log.Warn("feature gates do not apply to nodes", "cause", err)
		return nil
	}
	_ = gates.SetFromMap(set) // as the copy
	return set
}
