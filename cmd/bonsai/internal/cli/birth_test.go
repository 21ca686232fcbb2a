package cli

import (
	"context"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

// Birth sends one birth after the other; a last one that is not Ready belongs to a deleted pod.
func (b *scripted) Birth(_ context.Context, namespace, name string, send func(cluster.Birth) error) error {
	if err := b.note("birth " + namespace + " " + name); err != nil {
		return err
	}
	for _, v := range b.script.Births {
		if err := send(v); err != nil {
			return err
		}
	}
	return nil
}

func TestStepTime(t *testing.T) {
	for _, c := range []struct {
		d     time.Duration
		exact bool
		want  string
	}{
		{0, true, "0.00ms"}, {1234 * time.Microsecond, true, "1.23ms"}, {45600 * time.Microsecond, true, "45.6ms"},
		{512 * time.Millisecond, true, "512ms"}, {1999 * time.Millisecond, false, "~2.00s"}, {90 * time.Minute, true, "90m"},
	} {
		if got := stepTime(c.d, c.exact); got != c.want {
			t.Errorf("%s is %q, want %q", c.d, got, c.want)
		}
	}
}

func TestBarsLieWithinTheWaterfall(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end time.Duration
		want       string
	}{
		"all of it":     {0, 320, "################################"},
		"the middle":    {160, 240, "                ########        "},
		"an instant":    {100, 101, "          #                     "},
		"at the end":    {320, 320, "                               #"},
		"it lasts":      {160, 0, "                ................"},
		"beyond":        {160, 900, "                ################"},
		"nothing known": {0, 1, "#                               "},
	} {
		if got := bar(cluster.BirthStep{Begin: c.begin, End: c.end}, 320, false); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
