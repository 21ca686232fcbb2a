package addons

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
)

// steadyAfter is how long a runner must have run for its last failure to be forgotten.
const steadyAfter = 5 * time.Second

// part is the Manager's knowledge about one addon. The Manager's lock guards it.
type part struct {
	description cluster.AddonDescription
	wanted      bool
	// values are those that the user chose for its settings.
	values map[string]string
	// turns counts the changes of wanted, and of values while it is wanted: observations from an earlier turn say nothing about the current one.
	turns int
	// blockedBy is a dependency that is not wanted, or is blocked itself.
	blockedBy string

	// err is why the last applying or removing failed.
	err error
	// applied reports that all objects existed once in this turn; wants are their keys.
	applied bool
	wants   map[string]ref
	// present are objects of the addon that were seen, missing those wanted ones that were not.
	present int
	missing []ref

	// worked reports that it was running once in this turn.
	worked bool
	health cluster.AddonState
	reason string
	advice []cluster.Advice

	runner *runner

	status cluster.AddonStatus
}

// runner is the state of one addon's Runner.
type runner struct {
	stop context.CancelFunc
	done chan struct{} // closed when it has ended for good
	// err is why it ended last; began is when it was last started, zero while it pauses.
	err   error
	began time.Time
}

// turn restarts the part's history, as wanted or not. Until the objects have been listed, those of an addon that is
// turned off count as present.
func (p *part) turn(wanted bool) {
	*p = part{description: p.description, wanted: wanted, turns: p.turns + 1, runner: p.runner, present: p.present, status: p.status}
	if !wanted {
		p.present = max(p.present, 1)
	}
}

// settle computes the status and reports whether it has changed.
func (p *part) settle(now time.Time, clusterName string) bool {
	s := cluster.AddonStatus{AddonDescription: p.description, Enabled: p.wanted, Values: p.values}
	s.State, s.Reason, s.Advice = p.state(now)
	s = s.For(clusterName)
	if s.State == cluster.AddonRunning {
		p.worked = true
	}
	s.Since = p.status.Since
	if s.State != p.status.State {
		s.Since = now
	}
	old := p.status
	p.status = s
	return s.State != old.State || s.Reason != old.Reason || s.HintText() != old.HintText() || s.Enabled != old.Enabled || !maps.Equal(s.Values, old.Values)
}

// state is the whole status in one word, with the reason and what to do.
func (p *part) state(now time.Time) (s cluster.AddonState, reason string, advice []cluster.Advice) {
	logs := []cluster.Advice{cluster.Advise("see why", cluster.Bonsai("logs").On("daemon"))}
	if !p.wanted {
		switch {
		case p.err != nil:
			return cluster.AddonRemoving, oneLine(p.err), logs
		case p.present > 0:
			return cluster.AddonRemoving, "its objects are being deleted", nil
		case p.runner != nil:
			return cluster.AddonRemoving, "its controller is ending", nil
		}
		return cluster.AddonDisabled, "", nil
	}
	notYet := cluster.AddonInstalling
	if p.worked {
		notYet = cluster.AddonDegraded
	}
	switch {
	case p.blockedBy != "":
		return cluster.AddonBlocked, fmt.Sprintf("it needs %s, which is disabled", p.blockedBy),
			[]cluster.Advice{cluster.Advise("", cluster.Bonsai("addons", "enable").On(p.blockedBy).Cure())}
	case p.err != nil:
		if foreign, ok := errors.AsType[*foreignError](p.err); ok {
			return cluster.AddonFailed, foreign.Error(), foreign.advice()
		}
		if p.worked {
			return cluster.AddonDegraded, oneLine(p.err), logs
		}
		return cluster.AddonFailed, oneLine(p.err), logs
	case !p.applied:
		return cluster.AddonInstalling, "its objects are being created", nil
	case len(p.missing) > 0:
		var names []string
		for _, r := range p.missing {
			names = append(names, r.String())
		}
		return notYet, strings.Join(names, ", ") + " was deleted and is being restored", nil
	case p.runner != nil && p.runner.err != nil && (p.runner.began.IsZero() || now.Sub(p.runner.began) < steadyAfter):
		return cluster.AddonDegraded, "its controller failed and is being restarted: " + oneLine(p.runner.err), logs
	case p.health == "":
		return notYet, "its health is not known yet", nil
	case p.health == cluster.AddonInstalling:
		return notYet, p.reason, p.advice
	}
	return p.health, p.reason, p.advice
}

// oneLine shortens an error's text to one line.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' }), "; ")
}
