package bootstrap

import (
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
)

// The control group is given here: a test cannot choose that of its own machine.
func TestWhatOutlivesASession(t *testing.T) {
	for group, lingers := range map[string]bool{"session-3.scope": true, "ci.service": false, "": false} {
		text := (&cluster.Problem{Advice: outlive(group)}).HintText()
		if strings.Contains(text, "loginctl enable-linger") != lingers || !strings.Contains(text, "bonsai start --foreground") {
			t.Errorf("%q: %s", group, text)
		}
	}
}
