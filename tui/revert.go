package tui

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

// askRevert shows what would change if an object were as it was after a change, and asks. Of a deletion it is what was deleted.
func (u *ui) askRevert(ref kube.Ref, c cluster.Change) {
	if u.refuseChange() {
		return
	}
	revision, name := c.Revision, (&subject{ref: ref}).name()
	if c.Change == cluster.ChangeDeleted {
		revision = 0
	}
	title := u.T("revert %s", name)
	var would cluster.Reverted
	u.work(title, func(ctx context.Context, _ func(string)) (err error) {
		would, err = u.session.Revert(ctx, ref, revision, true)
		return err
	}, func(err error) {
		switch {
		case err != nil:
			u.explainFailure(title, err)
		case would.Change == "":
			u.toast.say(paint.Dim, u.T("%s is like that", name))
		default:
			u.askLater(u.T("make %s as it was at %s?", name, u.moment(would.At)), u.revertText(would), u.T("Revert"), func() { u.revert(ref, revision) })
		}
	})
}

// longestValue is how much of a value a question shows.
const longestValue = 160

// revertText is what a revert would change, and what that means.
func (u *ui) revertText(r cluster.Reverted) []string {
	var text []string
	if r.Change == cluster.ChangeCreated {
		text = append(text, u.T("it does not exist; it is created again as it was, as a new object"))
		switch r.Resource {
		case "persistentvolumeclaims":
			text = append(text, u.T("the claim gets a new, empty volume"))
		case "namespaces":
			text = append(text, u.T("the namespace is empty; its objects are reverted one by one"))
		}
	}
	value := func(v []byte) string {
		if len(v) == 0 {
			return u.theme.Glyphs.Off
		}
		return paint.Cut(paint.Clean(string(v)), longestValue, u.theme.Glyphs.More)
	}
	for _, f := range r.Fields {
		text = append(text, paint.Clean(f.Path)+"  "+value(f.Before)+" "+u.theme.Glyphs.Right+" "+value(f.After))
	}
	return append(text, u.T("controllers act on it as on any change; it can be reverted, too"), u.T("cluster: %s", u.session.Name()))
}

// revert does it. The API reports what has changed.
func (u *ui) revert(ref kube.Ref, revision int64) {
	name := (&subject{ref: ref}).name()
	title := u.T("revert %s", name)
	q := ref.Type.Resource
	if ref.Type.Group != "" {
		q += "." + ref.Type.Group
	}
	command := cluster.Bonsai("revert").On(q + "/" + ref.Name).Change()
	if ref.Namespace != "" {
		command = command.With("-n", ref.Namespace)
	}
	if revision != 0 {
		command = command.With("--to", strconv.FormatInt(revision, 10))
	}
	entry := u.record(command)
	var done cluster.Reverted
	u.work(title, func(ctx context.Context, _ func(string)) (err error) {
		done, err = u.session.Revert(ctx, ref, revision, false)
		return err
	}, func(err error) {
		entry.end(u, err)
		if err != nil {
			u.explainFailure(title, err)
			return
		}
		text := u.T("%s is as it was at %s", name, u.moment(done.At))
		if done.Change == cluster.ChangeCreated {
			text = u.T("%s was created again", name)
		}
		u.toast.say(paint.OK, u.theme.Glyphs.OK+" "+text)
	})
}

// refOf is the object of a change, which may not exist any more.
func refOf(o cluster.ObjectName) kube.Ref {
	group, version, ok := strings.Cut(o.APIVersion, "/")
	if !ok {
		group, version = "", o.APIVersion
	}
	return kube.Ref{
		Type:      kube.ResourceType{Group: group, Version: version, Resource: o.Resource, Kind: cmp.Or(o.Kind, o.Resource), Namespaced: o.Namespace != ""},
		Namespace: o.Namespace, Name: o.Name,
	}
}
