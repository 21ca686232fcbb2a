package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/yamldiff"
)

// The steps of a form with a text: it is checked, which shows what it would do, and then done. Rebase brings it up to date after a
// conflict.
const (
	stepCheck  = "check"
	stepDo     = "do"
	stepRebase = "rebase"
)

// editData is what the page edit shows.
type editData struct {
	Ref kube.Ref
	ID  string
	// Text is what the user writes, Base what the object was when that began.
	Text, Base string
	// Checked identifies the text that Would is about; empty if none was checked. Same says that nothing would change.
	Checked string
	Would   difference
	Same    bool
	// Trouble is why the text cannot be applied.
	Trouble *problemView
	// Conflict says that somebody else has changed the object since Base; Theirs is what.
	Conflict bool
	Theirs   difference
	// Action is where the form leads, Back where one gives up; Fix is the problem that is to go.
	Action, Back, Fix string
	heading           string
}

func (d editData) title() string { return d.heading }

// identify is the identity of a text.
func identify(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// textIn is a text of a form: browsers send CR and LF for each end of a line.
func textIn(form url.Values, name string) string {
	return strings.ReplaceAll(form.Get(name), "\r\n", "\n")
}

// editable says whether the text of objects of a type can be changed here.
func editable(t kube.ResourceType) bool {
	return slices.Contains(t.Verbs, "update") && !(t.Group == "" && t.Resource == "secrets")
}

func editPath(id, namespace, name string) string {
	return "/edit" + strings.TrimPrefix(objectPath(id, namespace, name), "/object")
}

// editOf begins a page; its text is missing.
func (s *Server) editOf(ctx context.Context, q *request) (editData, error) {
	if err := readsOnly(q); err != nil {
		return editData{}, err
	}
	ref, err := s.refOf(ctx, q.query)
	if err != nil {
		return editData{}, err
	}
	ref.UID = ""
	id := typeName(ref.Type.Resource, ref.Type.Group)
	d := editData{
		Ref: ref, ID: id, Back: objectPath(id, ref.Namespace, ref.Name), Action: editPath(id, ref.Namespace, ref.Name), Fix: q.query.Get("fix"),
		heading: q.words.T("Edit %s", ref.Type.Kind+" "+ref.Name),
	}
	if d.Fix != "" {
		d.Action += "&fix=" + url.QueryEscape(d.Fix)
	}
	switch {
	case ref.Type.Group == "" && ref.Type.Resource == "secrets":
		return d, fault.Newf(fault.Usage, "values of Secrets are not shown here, so that they cannot be changed here").
			Advise("", lineOfEdit(q).Of(q.cluster))
	case !editable(ref.Type):
		return d, fault.Newf(fault.Usage, "the API server does not let %s change", ref.Type.Resource)
	}
	return d, nil
}

func (s *Server) loadEdit(ctx context.Context, q *request) (any, error) {
	d, err := s.editOf(ctx, q)
	if err != nil {
		return nil, err
	}
	if d.Base, err = s.o.Objects.YAML(ctx, d.Ref); err != nil {
		return nil, err
	}
	d.Text = d.Base
	return d, nil
}

// submitEdit checks a text, or applies one that was checked.
func (s *Server) submitEdit(ctx context.Context, q *request) (any, string, error) {
	d, err := s.editOf(ctx, q)
	if err != nil {
		return nil, "", err
	}
	d.Text, d.Base = textIn(q.PostForm, "text"), textIn(q.PostForm, "base")
	switch q.PostForm.Get("step") {
	case stepRebase:
		if d.Base, err = s.o.Objects.YAML(ctx, d.Ref); err != nil {
			return nil, "", err
		}
		d.Text = yamldiff.WithVersion(d.Text, d.Base)
	case stepDo:
		if q.PostForm.Get("checked") != identify(d.Text) {
			break // it has been changed since, so that nobody has seen what it does
		}
		var problem *cluster.Problem
		if d.Fix != "" {
			problem = s.problemNamed(ctx, d.Fix)
		}
		err := s.upToDate(ctx, &d, func() error { return s.o.Objects.Replace(ctx, d.Ref, d.Text) })
		s.changed("edit", d.Ref, err)
		switch {
		case err == nil && problem != nil:
			return nil, s.watchFix(problem, d.heading, d.Ref), nil
		case err == nil:
			return nil, d.Back + "&done=edit", nil
		}
		return s.refusedEdit(ctx, q, d, err), "", nil
	}
	var would kube.Difference
	err = s.upToDate(ctx, &d, func() (err error) {
		would, err = s.o.Objects.PreviewReplace(ctx, d.Ref, d.Text)
		return err
	})
	if err != nil {
		return s.refusedEdit(ctx, q, d, err), "", nil
	}
	lines := yamldiff.Changes(would.Before, would.After)
	d.Checked, d.Would, d.Same = identify(d.Text), differenceOf(lines), len(lines) == 0
	return d, "", nil
}

// upToDate tries again after a conflict for which only the status of the object, or its version, has changed: a rollout changes both
// all the time, and nothing of it is lost.
func (s *Server) upToDate(ctx context.Context, d *editData, try func() error) error {
	for range mostConflicts {
		err := try()
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		now, failed := s.o.Objects.YAML(ctx, d.Ref)
		if failed != nil || yamldiff.Essence(now) != yamldiff.Essence(d.Base) {
			return err
		}
		d.Text, d.Base = yamldiff.WithVersion(d.Text, now), now
	}
	return try()
}

// mostConflicts is how often a text is brought up to date without the user.
const mostConflicts = 5

// refusedEdit says why a text cannot be applied. The text is kept.
func (s *Server) refusedEdit(ctx context.Context, q *request, d editData, err error) editData {
	d.Trouble = s.problemOf(q, err)
	if fault.KindOf(err) != fault.Conflict {
		return d
	}
	if now, err := s.o.Objects.YAML(ctx, d.Ref); err == nil {
		d.Conflict, d.Theirs = true, differenceOf(yamldiff.Changes(d.Base, now))
	}
	return d
}

// readsOnly is why a session may not change anything; nil if it may.
func readsOnly(q *request) error {
	if q.session.readOnly {
		return fault.Newf(fault.Refused, "this session is read-only").Advise("", cluster.Bonsai("dashboard").Of(q.cluster))
	}
	return nil
}

// changed notes a change in the daemon's log.
func (s *Server) changed(what string, ref kube.Ref, err error) {
	s.o.Log.Info("the dashboard changes something", "verb", what, "type", ref.Type.Resource, "namespace", ref.Namespace, "name", ref.Name, "err", err)
}

func lineOfEdit(q *request) cluster.Command {
	return cluster.Kubectl("edit").On(q.query.Get("type"), q.query.Get("name")).In(q.query.Get("ns")).Change()
}
