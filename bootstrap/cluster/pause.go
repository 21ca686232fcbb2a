package cluster

import (
	"fmt"
	"time"
)

// Pause is how a cluster came to be paused: its nodes are frozen, and nothing of the control plane runs but etcd and the API
// server.
type Pause struct {
	Since time.Time `json:"since"`
	// Auto says that it was Spec.AutoPause, and not a user.
	Auto bool `json:"auto,omitempty"`
}

// OwnAgentPrefix begins the user agents of bonsai's own clients of the API server. What they read is not a use of the cluster:
// it neither wakes a paused one nor keeps one from pausing.
const OwnAgentPrefix = "bonsai-"

// MinAutoPause bounds Spec.AutoPause from below: a pause and the next request cost about a second of work.
const MinAutoPause = 10 * time.Second

// AutoPauseOff is what users write to have a cluster never pause on its own.
const AutoPauseOff = "off"

// ParseAutoPause reads a user's value of Spec.AutoPause: a duration, or AutoPauseOff.
func ParseAutoPause(text string) (time.Duration, error) {
	if text == AutoPauseOff {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration such as 10m, nor %s", text, AutoPauseOff)
	case d < MinAutoPause:
		return 0, fmt.Errorf("%s is too short: at least %s, or %s", text, MinAutoPause, AutoPauseOff)
	}
	return d, nil
}

// FormatAutoPause is the text of which ParseAutoPause makes d: "10m", not "10m0s".
func FormatAutoPause(d time.Duration) string {
	if d == 0 {
		return AutoPauseOff
	}
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d%unit.size == 0 {
			return fmt.Sprintf("%d%s", d/unit.size, unit.name)
		}
	}
	return d.String()
}
