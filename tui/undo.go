package tui

import (
	"context"
	"fmt"

	"go.yaml.in/yaml/v3"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// undo is how the newest change is taken back.
type undo struct {
	title string
	run   func()
}

// reversalOf finds out what would take an action back, before it is done; nil for what cannot be taken back. It blocks.
func (u *ui) reversalOf(ctx context.Context, a kube.Action) (*undo, error) {
	switch a.Verb {
	case kube.VerbCordon:
		return u.undoBy(kube.Action{Verb: kube.VerbUncordon, Ref: a.Ref}, u.T("uncordon %s", a.Ref.Name)), nil
	case kube.VerbUncordon:
		return u.undoBy(kube.Action{Verb: kube.VerbCordon, Ref: a.Ref}, u.T("cordon %s", a.Ref.Name)), nil
	case kube.VerbSuspend:
		return u.undoBy(kube.Action{Verb: kube.VerbResume, Ref: a.Ref}, u.T("resume %s", (&subject{ref: a.Ref}).name())), nil
	case kube.VerbResume:
		return u.undoBy(kube.Action{Verb: kube.VerbSuspend, Ref: a.Ref}, u.T("suspend %s", (&subject{ref: a.Ref}).name())), nil
	case kube.VerbScale:
		text, err := u.session.YAML(ctx, a.Ref)
		if err != nil {
			return nil, err
		}
		var o struct {
			Spec struct {
				Replicas *int `yaml:"replicas"`
			} `yaml:"spec"`
		}
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			return nil, fmt.Errorf("read the replicas of %s: %w", a.Ref.Name, err)
		}
		if o.Spec.Replicas == nil || *o.Spec.Replicas == a.Replicas {
			return nil, nil
		}
		back := kube.Action{Verb: kube.VerbScale, Ref: a.Ref, Replicas: *o.Spec.Replicas}
		return u.undoBy(back, u.T("scale %s to %d", (&subject{ref: a.Ref}).name(), back.Replicas)), nil
	}
	return nil, nil
}

// undoBy takes a change back by another one, which can be taken back in turn.
func (u *ui) undoBy(back kube.Action, said string) *undo {
	return &undo{u.T("undo: %s", said), func() {
		u.undo = nil
		u.do(back, said)
	}}
}

// did says that a change was made, and keeps how it can be taken back in place of that of the one before; nil keeps that.
func (u *ui) did(said string, back *undo) {
	if back != nil {
		u.undo = back
		said = u.T("%s; the palette (%s) can undo it", said, u.keys.Key("palette"))
	}
	u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+said)
}
