package storageprovisioner

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"bonsai/controlplane/agents"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWhatIsUnknownAfterAFailure is what decides whether the next attempt has to be at the same node.
func TestWhatIsUnknownAfterAFailure(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errors.New("no such node"), false},
		{&agents.Error{}, false},
		{&agents.Error{Sent: true, Status: http.StatusInsufficientStorage}, false},
		{fmt.Errorf("node n1: %w", &agents.Error{Sent: true}), true},
	} {
		if got := unknown(c.err); got != c.want {
			t.Errorf("unknown(%#v) = %v", c.err, got)
		}
	}
}
