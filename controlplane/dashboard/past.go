package dashboard

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// sliderData is a place in the time that is recorded.
type sliderData struct {
	// Least and Most are the ends, At where it is, in seconds since 1970.
	Least, Most, At int64
	Time            time.Time
	// Ticks are when something has changed.
	Ticks []int64
	// Earlier and Later lead to the change before and the one after; empty where there is none.
	Earlier, Later string
	// Query are the other parameters of the address.
	Query url.Values
}

// mostTicks bounds the marks at the slider.
const mostTicks = 100

// sliderOf returns the slider for a page; at is where it is, zero for now.
func sliderOf(h cluster.History, q url.Values, at, now time.Time) sliderData {
	d := sliderData{Least: h.Begun.Unix(), Most: now.Unix(), At: now.Unix(), Query: url.Values{}}
	if !at.IsZero() {
		d.At, d.Time = at.Unix(), at
	}
	for _, name := range []string{"type", "ns"} {
		if v := q.Get(name); v != "" {
			d.Query.Set(name, v)
		}
	}
	to := func(at int64) string {
		v := url.Values{"at": {strconv.FormatInt(at, 10)}}
		for name := range d.Query {
			v.Set(name, d.Query.Get(name))
		}
		return "/history?" + v.Encode()
	}
	for _, c := range h.Changes { // the newest first
		second := c.Time.Unix()
		if len(d.Ticks) < mostTicks && (len(d.Ticks) == 0 || d.Ticks[len(d.Ticks)-1] != second) {
			d.Ticks = append(d.Ticks, second)
		}
		// At a change is as it was before it: one second earlier.
		if before := second - 1; before < d.At && d.Earlier == "" && before >= d.Least {
			d.Earlier = to(before)
		} else if before > d.At {
			d.Later = to(before)
		}
	}
	slices.Reverse(d.Ticks)
	return d
}

// differenceView is how one object differs from what it was.
type differenceView struct {
	cluster.Difference
	// Was is where one sees it as it was, Where as it is; each is empty if it does not exist.
	Was, Where string
	Fields     []fieldView
	Rest       int
}

// timeOf reads a time of an address, in seconds since 1970; zero if there is none.
func timeOf(v url.Values) (time.Time, error) {
	text := v.Get("at")
	if text == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return time.Time{}, fault.Newf(fault.Usage, "%q is not a time", text)
	}
	return time.Unix(n, 0).UTC(), nil
}

// since is how the cluster differs from what it was at a time.
func (s *Server) since(ctx context.Context, q *request, at time.Time) ([]differenceView, error) {
	list, err := s.o.Cluster.Differences(ctx, cluster.DifferenceQuery{
		ObjectQuery: cluster.ObjectQuery{Type: q.query.Get("type"), Namespace: q.query.Get("ns")}, At: at,
	})
	if err != nil {
		return nil, err
	}
	all := make([]differenceView, 0, min(len(list), mostChanges))
	for _, one := range list[:min(len(list), mostChanges)] {
		id := typeName(one.Resource, groupOf(one.APIVersion))
		v := differenceView{Difference: one}
		v.Fields, v.Rest = fieldsOf(one.Fields)
		if one.Change != cluster.ChangeCreated {
			v.Was = pastPath(id, one.Namespace, one.Name, url.Values{"at": {strconv.FormatInt(at.Unix(), 10)}})
		}
		if one.Change != cluster.ChangeDeleted {
			v.Where = objectPath(id, one.Namespace, one.Name)
		}
		all = append(all, v)
	}
	return all, nil
}

// pastPath is where an object is seen as it was; at is a time or a revision.
func pastPath(id, namespace, name string, at url.Values) string {
	v := url.Values{"type": {id}, "name": {name}}
	if namespace != "" {
		v.Set("ns", namespace)
	}
	for k := range at {
		v.Set(k, at.Get(k))
	}
	return "/past?" + v.Encode()
}

// pastData is what the page past shows: an object as it was, and what a revert would do.
type pastData struct {
	cluster.PastObject
	ID, YAML string
	// Would is what a revert would change; nil if it cannot be, which Trouble explains.
	Would   *cluster.Reverted
	Fields  []fieldView
	Rest    int
	Notes   []string
	Trouble *problemView
	// Hidden are what the form sends, Where the page of the object as it is.
	Hidden  url.Values
	Where   string
	heading string
}

func (d pastData) title() string { return d.heading }

// revertOf reads which object is meant, and as of when: a time, a revision, or, of one that was deleted, the end.
func revertOf(v url.Values) (cluster.RevertRequest, error) {
	r := cluster.RevertRequest{ObjectQuery: cluster.ObjectQuery{Type: v.Get("type"), Namespace: v.Get("ns"), Name: v.Get("name")}}
	if r.Type == "" || r.Name == "" {
		return r, fault.Newf(fault.Usage, "the address does not name an object")
	}
	var err error
	if r.At, err = timeOf(v); err != nil {
		return r, err
	}
	if text := v.Get("to"); text != "" {
		if r.To, err = strconv.ParseInt(text, 10, 64); err != nil || r.To < 0 {
			return r, fault.Newf(fault.Usage, "%q is not a revision", text)
		}
		r.At = time.Time{}
	}
	return r, nil
}

func (s *Server) loadPast(ctx context.Context, q *request) (any, error) {
	r, err := revertOf(q.query)
	if err != nil {
		return nil, err
	}
	was, err := s.o.Cluster.Past(ctx, r)
	if err != nil {
		return nil, err
	}
	id := typeName(was.Resource, groupOf(was.APIVersion))
	d := pastData{PastObject: was, ID: id, Hidden: url.Values{}, Where: objectPath(id, was.Namespace, was.Name)}
	d.heading = q.words.T("%s as it was", cmp.Or(was.Kind, was.Resource)+" "+was.Name)
	for _, name := range []string{"type", "ns", "name", "at", "to"} {
		if v := q.query.Get(name); v != "" {
			d.Hidden.Set(name, v)
		}
	}
	text, err := yaml.Marshal(was.Object)
	if err != nil {
		return nil, err
	}
	d.YAML = string(text)
	r.DryRun = true
	would, err := s.o.Cluster.Revert(ctx, r)
	if err != nil {
		d.Trouble = s.problemOf(q, err)
		return d, nil
	}
	d.Would = &would
	d.Fields, d.Rest = fieldsOf(would.Fields)
	if would.Change == cluster.ChangeCreated {
		d.Notes = append(d.Notes, q.words.T("it does not exist; it is created again as it was, as a new object"))
		switch would.Resource {
		case "persistentvolumeclaims":
			d.Notes = append(d.Notes, q.words.T("the claim gets a new, empty volume"))
		case "namespaces":
			d.Notes = append(d.Notes, q.words.T("the namespace is empty; its objects are reverted one by one"))
		}
	}
	return d, nil
}

// submitPast makes an object as it was.
func (s *Server) submitPast(ctx context.Context, q *request) (any, string, error) {
	r, err := revertOf(q.PostForm)
	if err != nil {
		return nil, "", err
	}
	done, err := s.o.Cluster.Revert(ctx, r)
	s.changed("revert", kube.Ref{Type: kube.ResourceType{Resource: r.Type}, Namespace: r.Namespace, Name: r.Name}, err)
	if err != nil {
		return nil, "", err
	}
	return nil, objectPath(typeName(done.Resource, groupOf(done.APIVersion)), done.Namespace, done.Name) + "&done=revert", nil
}

func lineOfPast(q *request) cluster.Command {
	v := q.query
	c := cluster.Bonsai("revert").On(v.Get("type") + "/" + v.Get("name")).Change()
	if ns := v.Get("ns"); ns != "" {
		c = c.With("-n", ns)
	}
	if to := v.Get("to"); to != "" && to != "0" {
		return c.With("--to", to)
	}
	if at, err := timeOf(v); err == nil && !at.IsZero() {
		return c.With("--at", at.Format(time.RFC3339))
	}
	return c
}
