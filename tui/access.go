package tui

import (
	"context"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/keymap"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// accessPage says whether somebody may do something, and who else may; or all that somebody may do.
type accessPage struct {
	*textTab
	// query is what was asked; rights is of whom all rights are listed, if Verb is empty.
	query  kube.AccessQuery
	rights kube.Subject
	refs   []kube.Ref // of the lines, by their tags
}

func newAccessPage(u *ui, q kube.AccessQuery) *accessPage {
	return &accessPage{textTab: newTextTab(u, "access", nil), query: q}
}

func newRightsPage(u *ui, who kube.Subject) *accessPage {
	return &accessPage{textTab: newTextTab(u, "rights", nil), rights: who}
}

func (p *accessPage) place() string { return "access" }
func (p *accessPage) show()         { p.changed() }

func (p *accessPage) crumb() string {
	if p.query.Verb == "" {
		return p.u.T("rights")
	}
	return "can-i"
}

func (p *accessPage) hints() []hint {
	return p.hintsOf("access.ask", "access.open", "access.copy", "text.filter")
}

func (p *accessPage) contexts() []keymap.Context {
	return append([]keymap.Context{keymap.Access}, p.textTab.contexts()...)
}

func (p *accessPage) act(id string) bool {
	switch id {
	case "access.ask":
		p.u.askAccess(p.query)
	case "access.copy":
		p.u.copy(p.u.toShell(accessCommand(p.query, p.rights)))
	case "access.open":
		line, ok := p.view.Current()
		if at := int(line.Tag) - 1; ok && at >= 0 && at < len(p.refs) {
			p.u.openSubject(&subject{ref: p.refs[at]}, "yaml")
		} else {
			p.u.toast.say(paint.Dim, p.u.T("choose a line with a binding first"))
		}
	default:
		return p.textTab.act(id)
	}
	return true
}

func (p *accessPage) changed() {
	u := p.u
	p.asking.run(func(done func()) {
		took := func(lines func() []textview.Line, err error) {
			if p.err = err; err == nil {
				p.known, p.refs = true, nil
				p.view.SetText(lines())
			}
			done()
		}
		if p.query.Verb == "" {
			fetch(u, func(ctx context.Context) ([]kube.Right, error) { return u.session.Rights(ctx, p.rights) }, func(list []kube.Right, err error) {
				took(func() []textview.Line { return p.rightLines(list) }, err)
			})
			return
		}
		fetch(u, func(ctx context.Context) (kube.Access, error) { return u.session.Access(ctx, p.query) }, func(a kube.Access, err error) {
			took(func() []textview.Line { return p.accessLines(a) }, err)
		})
	})
}

func (p *accessPage) draw(w, h int) []string {
	u := p.u
	title := u.T("WHAT %s MAY DO", strings.ToUpper(u.subjectWord(p.rights)))
	if p.query.Verb != "" {
		title = u.T("MAY SOMEBODY DO THIS?")
	}
	return append([]string{u.heading(w, title, "")}, p.textTab.draw(w, h-1)...)
}

func (p *accessPage) click(x, y int) { p.textTab.click(x, y-1) }

// end ends a line that leads to a binding.
func (p *accessPage) end(r *rich, ref kube.Ref) {
	p.refs = append(p.refs, ref)
	r.end()
	r.lines[len(r.lines)-1].Tag = int64(len(p.refs))
}

func (p *accessPage) accessLines(a kube.Access) []textview.Line {
	u, g := p.u, &p.u.theme.Glyphs
	var r rich
	who := u.subjectWord(p.query.Who)
	if a.Allowed {
		r.add(paint.OK, g.OK+" ").add(paint.Strong, u.T("%s may %s", who, u.accessText(p.query)))
	} else {
		r.add(paint.Fail, g.Fail+" ").add(paint.Strong, u.T("%s may not %s", who, u.accessText(p.query)))
	}
	r.end()
	if a.Reason != "" {
		r.add(paint.Dim, "  "+a.Reason).end()
	}
	r.heading(u.T("WHO MAY, BY RBAC"))
	for _, v := range a.Grants {
		r.add(paint.Plain, "  "+u.subjectWord(v.Who)).to(40).add(paint.Dim, " "+u.bindingText(v.Binding, v.Role))
		p.end(&r, v.Binding)
	}
	if len(a.Grants) == 0 {
		r.add(paint.Dim, "  "+u.T("nobody")).end()
	}
	return r.lines
}

func (p *accessPage) rightLines(list []kube.Right) []textview.Line {
	u := p.u
	var r rich
	for i, v := range list {
		if i == 0 || v.Namespace != list[i-1].Namespace {
			place := u.T("everywhere")
			if v.Namespace != "" {
				place = u.T("in namespace %s", v.Namespace)
			}
			if i > 0 {
				r.end()
			}
			r.add(paint.Title, place).end()
		}
		r.add(paint.Accent, "  "+strings.Join(v.Verbs, " ")).to(34).add(paint.Plain, " "+strings.Join(v.Resources, " "))
		if len(v.Names) > 0 {
			r.add(paint.Strong, "  "+u.T("only %s", strings.Join(v.Names, ", ")))
		}
		r.add(paint.Dim, "  "+u.bindingText(v.Binding, v.Role))
		p.end(&r, v.Binding)
	}
	if len(list) == 0 {
		r.add(paint.Dim, u.T("RBAC allows it nothing")).end()
	}
	return r.lines
}

// subjectWord names somebody: "me", "serviceaccount shop/web", "jane".
func (u *ui) subjectWord(s kube.Subject) string {
	switch {
	case s == (kube.Subject{}):
		return u.T("you")
	case s.Kind == "ServiceAccount":
		return "serviceaccount " + s.Namespace + "/" + s.Name
	}
	return lower(s.Kind) + " " + s.Name
}

// accessText is what is asked about: "list pods in namespace shop".
func (u *ui) accessText(q kube.AccessQuery) string {
	what := q.Type.Resource
	if q.Subresource != "" {
		what += "/" + q.Subresource
	}
	if q.Name != "" {
		what += " " + q.Name
	}
	switch {
	case q.Namespace != "":
		return q.Verb + " " + what + " " + u.T("in namespace %s", q.Namespace)
	case q.Type.Namespaced:
		return q.Verb + " " + what + " " + u.T("in all namespaces")
	}
	return q.Verb + " " + what
}

// bindingText is where a right comes from.
func (u *ui) bindingText(binding, role kube.Ref) string {
	return lower(binding.Type.Kind) + " " + binding.Name + " " + u.theme.Glyphs.Right + " " + lower(role.Type.Kind) + " " + role.Name
}

// accessVerbs are those that one usually asks for.
var accessVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "escalate", "bind"}

// askAccess asks whether somebody may do something.
func (u *ui) askAccess(q kube.AccessQuery) {
	u.loadTypes(nil)
	namespace, what, who := u.state.namespace, "pods", ""
	verb := accessVerbs[0]
	if q.Verb != "" {
		verb, namespace, what = q.Verb, q.Namespace, q.Type.Resource
		if q.Subresource != "" {
			what += "/" + q.Subresource
		}
		who = typedSubject(q.Who)
	}
	verbs := accessVerbs
	if !slices.Contains(verbs, verb) {
		verbs = append([]string{verb}, verbs...)
	}
	u.openForm(&form{
		title: u.T("who may do what?"), accept: u.T("Ask"), text: []string{u.T("the API server is asked; who else may is read from roles and bindings")},
		fields: []*field{
			{label: u.T("who"), value: who, hint: u.T("empty: you; NAMESPACE/NAME of a ServiceAccount, the name of a user, or group:NAME"), check: func(text string) string {
				if _, ok := subjectFrom(text); !ok {
					return u.T("NAMESPACE/NAME of a ServiceAccount, the name of a user, or group:NAME")
				}
				return ""
			}},
			{label: u.T("verb"), value: verb, choices: verbs},
			{label: u.T("type"), value: what, hint: u.T("a type, such as secrets or pods/log"), check: func(text string) string {
				name, _, _ := strings.Cut(text, "/")
				if _, ok := u.findType(name); !ok {
					return u.T("the API server has no such type")
				}
				return ""
			}},
			{label: u.T("namespace"), value: namespace, hint: u.T("empty: all namespaces")},
			{label: u.T("name"), value: q.Name, hint: u.T("empty: all objects of the type")},
		},
		done: func(v []string) {
			next := kube.AccessQuery{Verb: v[1], Name: v[4]}
			next.Who, _ = subjectFrom(v[0])
			name, sub, _ := strings.Cut(v[2], "/")
			next.Type, _ = u.findType(name)
			if next.Subresource = sub; next.Type.Namespaced {
				next.Namespace = v[3]
			}
			u.push(newAccessPage(u, next))
		},
	})
}

// typedSubject is somebody as one types it, subjectFrom reads that.
func typedSubject(s kube.Subject) string {
	switch s.Kind {
	case "ServiceAccount":
		return s.Namespace + "/" + s.Name
	case "Group":
		return "group:" + s.Name
	}
	return s.Name
}

func subjectFrom(text string) (kube.Subject, bool) {
	if name, ok := strings.CutPrefix(text, "group:"); ok {
		return kube.Subject{Kind: "Group", Name: name}, name != ""
	}
	if namespace, name, ok := strings.Cut(text, "/"); ok {
		return kube.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}, namespace != "" && name != "" && !strings.Contains(name, "/")
	}
	if text == "" {
		return kube.Subject{}, true
	}
	return kube.Subject{Kind: "User", Name: text}, !strings.Contains(text, " ")
}

// accessCommand is what kubectl is asked for the same.
func accessCommand(q kube.AccessQuery, rights kube.Subject) cluster.Command {
	c, who := cluster.Kubectl("auth", "can-i").With("--list"), rights
	if q.Verb != "" {
		what := q.Type.Resource
		if q.Type.Group != "" {
			what += "." + q.Type.Group
		}
		if q.Name != "" {
			what += "/" + q.Name
		}
		c, who = cluster.Kubectl("auth", "can-i").On(q.Verb, what).In(q.Namespace), q.Who
		if q.Subresource != "" {
			c = c.With("--subresource", q.Subresource)
		}
		if q.Namespace == "" && q.Type.Namespaced {
			c = c.With("--all-namespaces")
		}
	}
	switch who.Kind {
	case "ServiceAccount":
		c = c.With("--as", "system:serviceaccount:"+who.Namespace+":"+who.Name)
	case "Group":
		c = c.With("--as", "somebody", "--as-group", who.Name)
	case "User":
		c = c.With("--as", who.Name)
	}
	return c
}

func needsAccount(u *ui, s *subject) string {
	if s.ref.Type.Resource != "serviceaccounts" {
		return u.T("only for ServiceAccounts")
	}
	return ""
}
