package dashboard

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
)

// createData is what the page create shows.
type createData struct {
	// Kinds are what there is a form for, and YAML; Kind is the chosen one.
	Kinds  []tabLink
	Kind   string
	Fields []formField
	// Namespace is that of objects which name none.
	Namespace string
	Text      string
	// Checked identifies the text that New is about; empty if none was checked.
	Checked string
	New     []newView
	// Created are the objects that were created before one failed.
	Created []relatedObject
	Trouble *problemView
	// Action is where the form leads.
	Action string
}

// newView is an object that would be created.
type newView struct {
	Kind, Namespace, Name, YAML string
	Unchecked                   bool
}

// createOf begins a page.
func (s *Server) createOf(q *request) (createData, error) {
	if err := readsOnly(q); err != nil {
		return createData{}, err
	}
	v := q.query
	d := createData{Kind: v.Get("kind"), Namespace: cmp.Or(v.Get("ns"), "default"), Action: "/create"}
	if q.URL.RawQuery != "" {
		d.Action += "?" + v.Encode()
	}
	for _, f := range forms {
		path := "/create?" + url.Values{"kind": {f.kind}, "ns": {d.Namespace}}.Encode()
		d.Kinds = append(d.Kinds, tabLink{f.kind, f.title, path, f.kind == d.Kind})
		if f.kind == d.Kind {
			for _, field := range f.fields {
				field.Value = cmp.Or(v.Get(field.Name), field.Value)
				d.Fields = append(d.Fields, field)
			}
		}
	}
	return d, nil
}

func (s *Server) loadCreate(_ context.Context, q *request) (any, error) {
	d, err := s.createOf(q)
	if err != nil {
		return nil, err
	}
	if len(d.Fields) > 0 && q.query.Has("name") {
		if d.Text, err = textOfForm(d.Kind, q.query); err != nil {
			d.Trouble = s.problemOf(q, err)
		}
	}
	return d, nil
}

// submitCreate checks a text, or creates what is in one that was checked.
func (s *Server) submitCreate(ctx context.Context, q *request) (any, string, error) {
	d, err := s.createOf(q)
	if err != nil {
		return nil, "", err
	}
	d.Text, d.Namespace = textIn(q.PostForm, "text"), cmp.Or(strings.TrimSpace(q.PostForm.Get("namespace")), "default")
	if q.PostForm.Get("step") == stepDo && q.PostForm.Get("checked") == identify(d.Namespace+"\n"+d.Text) {
		done, err := s.o.Objects.Create(ctx, d.Namespace, d.Text)
		for _, ref := range done {
			s.changed("create", ref, nil)
			id := typeName(ref.Type.Resource, ref.Type.Group)
			d.Created = append(d.Created, relatedObject{Kind: ref.Type.Kind, Namespace: ref.Namespace, Name: ref.Name, Where: objectPath(id, ref.Namespace, ref.Name)})
		}
		if err != nil {
			d.Trouble = s.problemOf(q, err)
			return d, "", nil
		}
		if len(d.Created) == 1 {
			return nil, d.Created[0].Where + "&done=create", nil
		}
		d.Text = ""
		return d, "", nil
	}
	list, err := s.o.Objects.PreviewCreate(ctx, d.Namespace, d.Text)
	if err != nil {
		d.Trouble = s.problemOf(q, err)
		return d, "", nil
	}
	d.Checked = identify(d.Namespace + "\n" + d.Text)
	for _, n := range list {
		d.New = append(d.New, newView{n.Ref.Type.Kind, n.Ref.Namespace, n.Ref.Name, withoutValues(n), n.Unchecked})
	}
	return d, "", nil
}

// withoutValues is the YAML of a new object, without the values of a Secret, which the text has anyway.
func withoutValues(n kube.NewObject) string {
	if n.Ref.Type.Group != "" || n.Ref.Type.Resource != "secrets" {
		return n.YAML
	}
	return ""
}

// lineOfCreate is what kubectl has for the form, as far as that is the same; else any text is a file.
func lineOfCreate(q *request) cluster.Command {
	if c, ok := lineOfForm(q.query); ok {
		return c
	}
	return cluster.Kubectl("create").With("-f", "FILE").Fill("FILE").Change()
}
