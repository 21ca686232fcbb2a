package cluster

import (
	"encoding/json"
	"time"
)

// AddonState is what was observed of an addon, in one word. It is never a remembered flag.
type AddonState string

// The states of an addon.
const (
	AddonDisabled   AddonState = "disabled"
	AddonInstalling AddonState = "installing" // wanted; its objects are being created or do not work yet
	AddonRunning    AddonState = "running"
	AddonDegraded   AddonState = "degraded" // it works partly, or it worked before and does not now
	AddonBlocked    AddonState = "blocked"  // something it needs is missing: another addon, a version, a platform
	AddonFailed     AddonState = "failed"   // it could not be applied
	AddonRemoving   AddonState = "removing"
	// AddonStopped is a wanted addon of a cluster that is not running.
	AddonStopped AddonState = "stopped"
)

// AddonDelivery is how an addon gets into the cluster.
type AddonDelivery string

// The ways to deliver an addon.
const (
	DeliveryBuiltin  AddonDelivery = "builtin"  // runs inside bonsai's own processes
	DeliveryPod      AddonDelivery = "pod"      // a pod whose image is made from bonsai itself
	DeliveryManifest AddonDelivery = "manifest" // manifests whose images are pulled
)

// AddonDescription is what is fixed about an addon.
type AddonDescription struct {
	Name        string        `json:"name"`
	Version     string        `json:"version"`
	Maintainer  string        `json:"maintainer"`
	Description string        `json:"description"`
	Docs        string        `json:"docs,omitempty"`
	Delivery    AddonDelivery `json:"delivery"`
	// Offline says that it works without pulling or downloading anything.
	Offline bool `json:"offline"`
	// Default says that a cluster has it by default.
	Default bool `json:"default"`
	// OnDemand says that a cluster has it as soon as something in it needs it, unless the user has chosen.
	OnDemand bool `json:"onDemand,omitempty"`
	// Needs are the addons that have to be enabled with it.
	Needs []string `json:"needs,omitempty"`
	// Settings are what the user may choose about it.
	Settings []AddonSetting `json:"settings,omitempty"`
}

// AddonStatus is an addon of one cluster and its state.
type AddonStatus struct {
	AddonDescription
	// Enabled is what the user wants, State what was observed.
	Enabled bool `json:"enabled"`
	// Values are those of settings that the user chose.
	Values map[string]string `json:"values,omitempty"`
	State  AddonState        `json:"state"`
	// Reason explains any state but running and disabled, in one line; Advice is what to type next.
	Reason string    `json:"reason,omitempty"`
	Advice []Advice  `json:"advice,omitempty"`
	Since  time.Time `json:"since,omitzero"` // of State; zero if unknown
}

// HintText is what to type next as text in English, with a line for each piece of advice.
func (s AddonStatus) HintText() string { return hint(s.Advice) }

// For returns the status with the name of the cluster at hand in all commands that lack it.
func (s AddonStatus) For(cluster string) AddonStatus {
	s.Advice = adviceFor(s.Advice, cluster)
	return s
}

// MarshalJSON writes the advice twice, as values and, for scripts, as text.
func (s AddonStatus) MarshalJSON() ([]byte, error) {
	type plain AddonStatus
	return json.Marshal(struct {
		plain
		Hint string `json:"hint,omitempty"`
	}{plain(s), s.HintText()})
}

// UnmarshalJSON makes advice of the text of a daemon that is older than advice.
func (s *AddonStatus) UnmarshalJSON(data []byte) error {
	type plain AddonStatus
	var v struct {
		plain
		Hint string `json:"hint"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*s = AddonStatus(v.plain)
	s.Advice = adviceFrom(s.Advice, v.Hint)
	return nil
}
