package tui

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/feed"
	"bonsai/tui/paint"
	"bonsai/tui/textview"
)

// requestsBefore is how many lines of each node's access log are read for what was before.
const requestsBefore = 500

// requestsTab lists the requests that the gateway serves for an Ingress, a route or a Service, on all nodes, while one looks.
type requestsTab struct {
	blankPage
	textPane
	wants func(*cluster.GatewayRequest) bool
	news  *feed.Box[[]cluster.GatewayRequest]
	pods  podAddresses
	// nodes are the feeds of the nodes' logs, errs why some of them have nothing. shown says that they are followed.
	nodes map[string]*feed.Feed
	errs  map[string]error
	shown bool
}

// requestsOf returns which requests are an object's; nil if the gateway serves nothing of that type.
func requestsOf(ref kube.Ref) func(*cluster.GatewayRequest) bool {
	of := ref.Namespace + "/" + ref.Name
	from := map[string]string{
		"ingresses.networking.k8s.io": "ingress/", "httproutes.gateway.networking.k8s.io": "httproute/", "grpcroutes.gateway.networking.k8s.io": "grpcroute/",
	}[ref.Type.Resource+"."+ref.Type.Group]
	switch {
	case from != "":
		return func(r *cluster.GatewayRequest) bool { return r.From == from+of }
	case ref.Type.Resource == "services" && ref.Type.Group == "":
		return func(r *cluster.GatewayRequest) bool { return strings.HasPrefix(r.Service, of+":") }
	}
	return nil
}

// requestTabs are the tabs about requests that an object has: one, or none.
func requestTabs(u *ui, ref kube.Ref) []objectTab {
	wants := requestsOf(ref)
	if wants == nil {
		return nil
	}
	t := &requestsTab{
		textPane: textPane{u: u, view: textview.New(true), what: ref.Name + "-requests"}, wants: wants,
		nodes: map[string]*feed.Feed{}, errs: map[string]error{}, pods: podAddresses{u: u},
	}
	t.news = feed.NewBox(u.hub, func(old, new []cluster.GatewayRequest) []cluster.GatewayRequest {
		all := append(old, new...)
		return all[max(0, len(all)-textview.MaxLines):]
	}, t.add)
	return []objectTab{{"requests", "Requests", t, t.count}}
}

func (t *requestsTab) add(list []cluster.GatewayRequest) {
	slices.SortStableFunc(list, func(a, b cluster.GatewayRequest) int { return a.Began.Compare(b.Began) })
	for i := range list {
		t.view.Append(t.line(&list[i]))
	}
	t.u.touch()
}

// line is one request as a line: what was asked for, what came of it, how long it took, and who answered.
func (t *requestsTab) line(r *cluster.GatewayRequest) textview.Line {
	var b rich
	state := paint.StateOK
	switch {
	case r.Status >= 500:
		state = paint.StateFail
	case r.Status >= 400:
		state = paint.StateWarn
	}
	b.add(state.Role(), t.u.theme.Glyph(state, 0)+" "+strconv.Itoa(r.Status)).add(paint.Dim, " "+r.Method).to(13)
	b.add(paint.Dim, r.Host).add(paint.Plain, r.Path).to(60)
	b.add(paint.Plain, " "+span(r.Took)).to(69)
	b.add(paint.Dim, " "+t.pods.name(r.Endpoint)+"  "+r.Client)
	b.end()
	l := b.lines[0]
	l.Time = r.Began
	return l
}

// follow follows the logs of the nodes that there are, also of those that have come since.
func (t *requestsTab) follow() {
	u := t.u
	for i := range u.state.Snapshot.Nodes {
		node := u.state.Snapshot.Nodes[i].Name
		if t.nodes[node] != nil {
			continue
		}
		var last time.Time // when the newest request that was seen had ended
		f := feed.New(u.hub, func(ctx context.Context, healthy func()) error {
			return u.session.ComponentLogs(ctx, node, cluster.GatewayAddon, requestsBefore, func(lines []kube.LogLine) error {
				healthy()
				var found []cluster.GatewayRequest
				seen := last // a log that is followed again begins with what was there
				for i := range lines {
					r, err := cluster.ParseGatewayRequest(lines[i].Text)
					if ended := r.Began.Add(r.Took); err != nil || !ended.After(seen) {
						continue
					} else if ended.After(last) {
						last = ended
					}
					if t.wants(&r) {
						found = append(found, r)
					}
				}
				if len(found) > 0 {
					t.news.Put(found)
				}
				return nil
			})
		}, func(err error) {
			if t.errs[node] = err; err == nil {
				delete(t.errs, node)
			}
			u.touch()
		})
		t.nodes[node] = f
		f.Use()
	}
}

func (t *requestsTab) show() {
	t.shown = true
	t.pods.use()
	for _, f := range t.nodes {
		f.Use()
	}
	t.follow()
}

func (t *requestsTab) hide() {
	t.shown = false
	t.pods.leave()
	for _, f := range t.nodes {
		f.Leave()
	}
}

// changed implements changer.
func (t *requestsTab) changed() {
	if t.shown {
		t.follow()
	}
}

func (t *requestsTab) act(id string) bool { return t.textPane.act(id) }
func (t *requestsTab) count() int         { return t.view.Len() }
func (t *requestsTab) hints() []hint {
	return t.hintsOf("text.filter", "text.pause", "text.copy")
}

func (t *requestsTab) draw(w, h int) []string {
	u := t.u
	if t.view.Len() > 0 {
		return t.drawText(w, h, !u.state.Stale().IsZero())
	}
	text := u.T("no requests through the gateway yet; new ones appear here")
	if len(t.nodes) > 0 && len(t.errs) == len(t.nodes) { // no node has such a log
		text = u.T("the gateway has served nothing on any node; see  %s", "addons status "+cluster.GatewayAddon)
	}
	return fill(u.note(text, w, h), w, h)
}

// podAddresses are the names of pods by their addresses.
type podAddresses struct {
	u     *ui
	names map[string]string // nil if they have to be read again
}

func (p *podAddresses) use()   { p.u.state.Pods.Read(p) }
func (p *podAddresses) leave() { p.u.state.Pods.Unread(p) }

// name is the pod at an address with a port, or that if it is not known.
func (p *podAddresses) name(endpoint string) string {
	at, err := netip.ParseAddrPort(endpoint)
	if err != nil {
		return endpoint
	}
	if p.names == nil {
		p.names = map[string]string{}
		pods := p.u.state.Pods
		ip := slices.IndexFunc(pods.Columns, func(c kube.Column) bool { return lower(c.Name) == "ip" })
		for _, row := range pods.All {
			if ip >= 0 && ip < len(row.Cells) && row.Cells[ip] != "<none>" {
				p.names[row.Cells[ip]] = row.Namespace + "/" + row.Name
			}
		}
	}
	if name := p.names[at.Addr().String()]; name != "" {
		return name
	}
	return endpoint
}

func (p *podAddresses) ColumnsChanged([]kube.Column)     { p.names = nil }
func (p *podAddresses) RowsReset()                       { p.names = nil }
func (p *podAddresses) RowsChanged([]kube.Row, []string) { p.names = nil }
func (p *podAddresses) ErrChanged()                      {}
