package tui

import (
	"strings"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// state is what several pages show: the cluster, and what lists are narrowed to.
type state struct {
	*model.Cluster
	namespace string // that lists are narrowed to; empty is all
	types     []kube.ResourceType
}

func newState(u *ui) *state {
	return &state{Cluster: model.New(model.Options{
		Source: u.session, Hub: u.hub, Now: func() time.Time { return u.clock.now() }, Clean: paint.Clean, CleanLog: paint.CleanLog,
		Changed: u.touch,
	})}
}

func lower(s string) string { return strings.ToLower(s) }

// singular is the lower-case kind: "pod".
func singular(t kube.ResourceType) string { return lower(t.Kind) }

// paintState is how health is drawn.
func paintState(h model.Health) paint.State {
	switch h {
	case model.OK:
		return paint.StateOK
	case model.Busy:
		return paint.StateBusy
	case model.Warn:
		return paint.StateWarn
	case model.Fail:
		return paint.StateFail
	case model.Ending:
		return paint.StateEnding
	case model.Off:
		return paint.StateOff
	}
	return paint.StateNone
}

// rowState is how the object of a row does.
func rowState(columns []kube.Column, r *kube.Row) paint.State {
	return paintState(model.HealthOf(columns, r))
}
