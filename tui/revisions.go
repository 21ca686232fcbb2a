package tui

import (
	"context"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// revisionsTab lists the pod templates that a workload has had, each with what it changed of the one before, and goes back to one.
type revisionsTab struct {
	*textTab
	ref  kube.Ref
	list []kube.Revision
}

func newRevisionsTab(u *ui, ref kube.Ref) *revisionsTab {
	return &revisionsTab{textTab: newTextTab(u, ref.Name+"-revisions", nil), ref: ref}
}

// hasRevisions says that pod templates of objects of a type are kept.
func hasRevisions(t kube.ResourceType) bool {
	return t.Group == "apps" && (t.Resource == "deployments" || t.Resource == "statefulsets" || t.Resource == "daemonsets")
}

func needsRevisions(u *ui, s *subject) string {
	if !hasRevisions(s.ref.Type) {
		return u.T("only Deployments, StatefulSets and DaemonSets have revisions")
	}
	return ""
}

func (t *revisionsTab) show() { t.changed() }
func (t *revisionsTab) hints() []hint {
	return t.hintsOf("revision.back", "text.filter", "text.wrap", "text.copy")
}

func (t *revisionsTab) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.Revisions}, t.textTab.contexts()...)
}

func (t *revisionsTab) act(id string) bool {
	if id != "revision.back" {
		return t.textTab.act(id)
	}
	u := t.u
	line, _ := t.view.Current()
	for _, r := range t.list {
		switch {
		case r.Number != line.Tag:
			continue
		case r.Current:
			u.toast.say(paint.Dim, u.T("it is the current revision; choose an older one"))
		default:
			u.askRollback(t.ref, r.Number, nil)
		}
		return true
	}
	u.toast.say(paint.Dim, u.T("choose a revision first"))
	return true
}

// rollbackTitle is what going back to a revision is called; 0 is the one before the current one.
func (u *ui) rollbackTitle(ref kube.Ref, number int64) string {
	if number == 0 {
		return u.T("take %s back to the revision before", (&subject{ref: ref}).name())
	}
	return u.T("take %s back to revision %d", (&subject{ref: ref}).name(), number)
}

// askRollback shows what going back to a revision would change, and asks. then, if it is not nil, is called afterwards.
func (u *ui) askRollback(ref kube.Ref, number int64, then func(back *undo)) {
	u.propose(proposal{
		action: kube.Action{Verb: kube.VerbRollback, Ref: ref, Revision: number}, title: u.rollbackTitle(ref, number), accept: u.T("Go back"),
		notes: u.rolloutNotes(ref), then: then,
	})
}

func (t *revisionsTab) changed() {
	t.asking.run(func(done func()) {
		fetch(t.u, func(ctx context.Context) ([]kube.Revision, error) { return t.u.session.Revisions(ctx, t.ref) },
			func(list []kube.Revision, err error) {
				if t.err = err; err == nil {
					t.known, t.list = true, list
					t.view.SetText(t.lines())
				}
				done()
			})
	})
}

func (t *revisionsTab) lines() []textview.Line {
	u := t.u
	var r rich
	for i, v := range t.list {
		first := len(r.lines)
		r.add(paint.Strong, u.T("revision %d", v.Number))
		if v.Current {
			r.add(paint.OK, "  "+u.T("current"))
		}
		r.add(paint.Dim, "  "+u.moment(v.Created)+"  "+u.podsWord(v.Pods)+"  "+v.Name)
		if v.Cause != "" {
			r.add(paint.Plain, "  "+firstLineOf(v.Cause))
		}
		r.end()
		if i+1 < len(t.list) {
			diff := yamldiff.Flush(yamldiff.Of(t.list[i+1].Template, v.Template))
			if r.addDiff(4, diff); len(diff) == 0 {
				r.add(paint.Dim, "    "+u.T("the same as the one before")).end()
			}
		} else {
			r.add(paint.Dim, "    "+u.T("the oldest that is kept")+"  "+strings.Join(imagesOf(v.Template), " ")).end()
		}
		for j := first; j < len(r.lines); j++ {
			r.lines[j].Tag = v.Number
		}
	}
	if len(t.list) == 0 {
		r.add(paint.Dim, u.T("no revision is kept")).end()
	}
	return r.lines
}

// podsWord is a number of pods.
func (u *ui) podsWord(n int) string {
	if n == 1 {
		return u.T("1 pod")
	}
	return u.T("%d pods", n)
}

// imagesOf are the images of a pod template.
func imagesOf(template string) []string {
	var images []string
	list, err := containersOf("spec:\n  template:\n" + indented(template, 4))
	if err != nil {
		return nil
	}
	for _, c := range list {
		images = append(images, c.Image)
	}
	return images
}

func indented(text string, n int) string {
	pad := strings.Repeat(" ", n)
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString(pad + line + "\n")
	}
	return b.String()
}
