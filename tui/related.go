package tui

import (
	"context"
	"slices"
	"strings"

	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// relatedTab is a tree of what an object uses, down to the containers, and a list of what uses it.
type relatedTab struct {
	*textTab
	feed *feed.Feed
	// refs are the objects of the lines, by the lines' tags.
	refs []kube.Ref
}

// hasRelations says that it is known what objects of a type use, or what uses them.
func hasRelations(t kube.ResourceType) bool {
	return slices.Contains([]string{
		"/pods", "/services", "/secrets", "/configmaps", "/persistentvolumeclaims", "/serviceaccounts", "apps/deployments", "apps/replicasets", "apps/statefulsets",
		"apps/daemonsets", "batch/jobs", "batch/cronjobs", "networking.k8s.io/ingresses", "autoscaling/horizontalpodautoscalers",
	}, t.Group+"/"+t.Resource)
}

func needsRelations(u *ui, s *subject) string {
	if !hasRelations(s.ref.Type) {
		return u.T("nothing is known of what it uses")
	}
	return ""
}

func newRelatedTab(u *ui, ref kube.Ref) *relatedTab {
	t := &relatedTab{textTab: newTextTab(u, ref.Name+"-related", nil)}
	t.feed = poll(u, func(ctx context.Context) (kube.Relations, error) { return u.session.Relations(ctx, ref) }, func(r kube.Relations, err error) {
		if t.err = err; err == nil {
			t.known = true
			t.view.SetText(t.lines(r))
		}
	})
	return t
}

func (t *relatedTab) show()    { t.feed.Use() }
func (t *relatedTab) hide()    { t.feed.Leave() }
func (t *relatedTab) changed() {} // it is asked again and again: what it is about are other objects

func (t *relatedTab) hints() []hint {
	return t.hintsOf("related.open", "text.filter", "text.copy")
}

func (t *relatedTab) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.Related}, t.textTab.contexts()...)
}

func (t *relatedTab) act(id string) bool {
	if id != "related.open" {
		return t.textTab.act(id)
	}
	line, ok := t.view.Current()
	at := int(line.Tag) - 1
	if !ok || at < 0 || at >= len(t.refs) || t.refs[at].Type.Resource == "" {
		t.u.toast.say(paint.Dim, t.u.T("it is not an object of the API"))
		return true
	}
	t.u.openSubject(&subject{ref: t.refs[at]}, "")
	return true
}

func (t *relatedTab) lines(r kube.Relations) []textview.Line {
	u := t.u
	t.refs = t.refs[:0]
	var text rich
	text.add(paint.Title, u.T("USES")).end()
	t.relation(&text, &r.Uses, "", "")
	if len(r.Uses.Children) == 0 {
		text.add(paint.Dim, "  "+u.T("it uses nothing that is known")).end()
	}
	text.heading(u.T("USED BY"))
	for i := range r.UsedBy {
		t.relation(&text, &r.UsedBy[i], " ", " ")
	}
	if len(r.UsedBy) == 0 {
		text.add(paint.Dim, "  "+u.T("nothing uses it")).end()
	}
	return text.lines
}

// relation writes an object and what it uses. first stands before its line, rest before those below it.
func (t *relatedTab) relation(r *rich, n *kube.Relation, first, rest string) {
	u, g := t.u, &t.u.theme.Glyphs
	t.refs = append(t.refs, n.Ref)
	state := paint.StateNone
	switch {
	case n.Missing && !n.Optional, n.Bad:
		state = paint.StateFail
	case n.Missing:
		state = paint.StateOff
	case n.State != "":
		state = paint.StateOK
	}
	r.add(paint.Dim, first).add(state.Role(), u.theme.Glyph(state, 0)+" ")
	if kind := singular(n.Ref.Type); n.Ref.Type.Resource != "" {
		r.add(paint.Dim, kind+" ")
	}
	r.add(paint.Strong, n.Ref.Name)
	if n.State != "" {
		r.add(state.Role(), "  "+n.State)
	}
	switch {
	case n.Missing && n.Optional:
		r.add(paint.Dim, "  "+u.T("does not exist; optional"))
	case n.Missing:
		r.add(paint.Fail, "  "+u.T("does not exist"))
	}
	var how []string
	for _, k := range n.Kinds {
		if k != kube.RelationOwns && k != kube.RelationContains { // that is what a tree says
			how = append(how, u.relationWord(k))
		}
	}
	if len(how) > 0 {
		r.add(paint.Dim, "  ("+strings.Join(how, ", ")+")")
	}
	r.end()
	r.lines[len(r.lines)-1].Tag = int64(len(t.refs))
	for i := range n.Children {
		branch, below := g.Tree+" ", g.TreeUp+" "
		if i == len(n.Children)-1 {
			branch, below = g.TreeLast+" ", "  "
		}
		t.relation(r, &n.Children[i], rest+branch, rest+below)
	}
}

// relationWord is how two objects are related, in words that are right in both directions.
func (u *ui) relationWord(k kube.RelationKind) string {
	switch k {
	case kube.RelationSelects:
		return u.T("by labels")
	case kube.RelationEndpoints:
		return u.T("its endpoints")
	case kube.RelationEnv:
		return u.T("in variables")
	case kube.RelationVolume:
		return u.T("in volumes")
	case kube.RelationAccount:
		return u.T("as its account")
	case kube.RelationPull:
		return u.T("to pull images")
	case kube.RelationRoutes:
		return u.T("by its rules")
	case kube.RelationTLS:
		return u.T("for TLS")
	case kube.RelationBound:
		return u.T("bound")
	case kube.RelationScales:
		return u.T("its replicas")
	case kube.RelationProtects:
		return u.T("disruption budget")
	case kube.RelationMounts:
		return u.T("listed")
	}
	return string(k)
}
