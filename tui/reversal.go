package tui

import (
	"context"
	"fmt"

	"go.yaml.in/yaml/v3"

	"bonsai/tui/paint"
)

// reversal is what takes the newest change back.
type reversal struct {
	action Action
	title  string
}

// reversalOf finds out what would take an action back, before it is done; nil for what cannot be taken back. It blocks.
func (u *ui) reversalOf(ctx context.Context, a Action) (*reversal, error) {
	back := Action{Ref: a.Ref}
	switch a.Verb {
	case VerbCordon:
		back.Verb = VerbUncordon
		return &reversal{back, u.T("uncordon %s", a.Ref.Name)}, nil
	case VerbUncordon:
		back.Verb = VerbCordon
		return &reversal{back, u.T("cordon %s", a.Ref.Name)}, nil
	case VerbScale:
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
		back.Verb, back.Replicas = VerbScale, *o.Spec.Replicas
		return &reversal{back, u.T("scale %s to %d", (&subject{ref: a.Ref}).name(), back.Replicas)}, nil
	}
	return nil, nil
}

// reverse takes the newest change back. That can be taken back in turn.
func (u *ui) reverse() {
	if r := u.reversal; r != nil {
		u.reversal = nil
		u.do(r.action, r.title)
	}
}

// undoable keeps how the newest change can be taken back, in place of that of the one before, and says where.
func (u *ui) undoable(said string, back *reversal) {
	text := u.theme.Glyphs.OK + " " + said
	if back != nil {
		u.reversal, u.lastEdit = back, nil
		text = u.theme.Glyphs.OK + " " + u.T("%s; the palette (%s) can undo it", said, u.keys.Key("palette"))
	}
	u.toast.say(paint.OK, text)
}
