package dashboard

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/bootstrap/wait"
)

const (
	// mostEnds bounds each side of the map of traffic, mostEdges its arrows and the table below it.
	mostEnds, mostEdges = 40, 200
	endWidth, endHeight = 330, 30
	endStep             = 40
	// keptQuestions is how many DNS questions a page keeps, questionPause the shortest pause between two events of its stream.
	keptQuestions = 2000
	questionPause = 200 * time.Millisecond
)

// trafficData is what the page traffic shows: who talks to whom, workloads added up.
type trafficData struct {
	Measured      bool
	Since         time.Time
	Width, Height int
	From, To      []trafficEnd
	Edges         []trafficEdge
	// Omitted is how many are not shown; Unmeasured says of nodes why they could not be measured.
	Omitted    int
	Unmeasured []fact
	// All says that traffic of nodes and this machine is shown, too; Other is the address of the other choice.
	All   bool
	Other string
}

// trafficEnd is who takes part.
type trafficEnd struct {
	Name, Where string
	Y           int
}

// trafficEdge is the traffic from one workload to one port of another, all pods of both together.
type trafficEdge struct {
	From, To, Port, Asked   string
	FromWhere, ToWhere      string
	Open, Failures          int
	Opened, Sent, Received  float64
	Denied, Refused, Silent int
	State                   string // English, for Words
	Tone                    string
	Y1, Y2, Speed           int
}

// endOf is what a pod belongs to, and where that has a page.
func endOf(e cluster.FlowEnd) (name, where string) {
	switch e.Kind {
	case cluster.FlowPod:
		what := cmp.Or(e.Workload, "pod/"+e.Name)
		kind, object, _ := strings.Cut(what, "/")
		return e.Namespace + "/" + what, objectPath(kind, e.Namespace, object)
	case cluster.FlowService:
		return e.Namespace + "/service/" + e.Name, objectPath("services", e.Namespace, e.Name)
	case cluster.FlowNode:
		return e.String(), objectPath("nodes", "", e.Name)
	}
	return e.String(), ""
}

// flowStates are English, for Words.
var flowStates = map[cluster.FlowState]string{
	cluster.FlowWorks: "works", cluster.FlowDenied: "denied", cluster.FlowRefused: "refused", cluster.FlowUnanswered: "unanswered",
}

// trafficOf adds up flows by workloads, and lays out the map. Those that fail come first, then the busiest.
func trafficOf(f cluster.Flows, all bool) trafficData {
	d := trafficData{Measured: true, Since: f.Since, Width: drawingWidth, Omitted: f.Omitted, All: all}
	type key struct{ from, to, port string }
	edges := map[key]*trafficEdge{}
	worst := map[key]cluster.FlowState{}
	rank := []cluster.FlowState{cluster.FlowWorks, cluster.FlowUnanswered, cluster.FlowRefused, cluster.FlowDenied}
	for _, one := range f.Flows {
		if !all && !one.WithPod() {
			continue
		}
		k := key{port: strconv.Itoa(int(one.Port))}
		if one.Proto != "TCP" {
			k.port += "/" + one.Proto
		}
		var fromWhere, toWhere string
		k.from, fromWhere = endOf(one.From)
		k.to, toWhere = endOf(one.To)
		e := edges[k]
		if e == nil {
			e = &trafficEdge{From: k.from, To: k.to, Port: k.port, FromWhere: fromWhere, ToWhere: toWhere}
			edges[k] = e
		}
		e.Asked = cmp.Or(e.Asked, one.Asked)
		e.Open, e.Opened, e.Sent, e.Received = e.Open+one.Open, e.Opened+one.New, e.Sent+one.Sent, e.Received+one.Received
		e.Denied, e.Refused, e.Silent = e.Denied+one.Denied, e.Refused+one.Refused, e.Silent+one.Unanswered
		if state := one.Judged().State; slices.Index(rank, state) >= slices.Index(rank, worst[k]) {
			worst[k] = state
		}
	}
	for k, e := range edges {
		e.State, e.Tone = flowStates[worst[k]], "ok"
		switch {
		case worst[k] != cluster.FlowWorks:
			e.Tone = "bad"
		case e.Open == 0 && e.Opened == 0:
			e.Tone = "off"
		}
		switch bytes := e.Sent + e.Received; {
		case bytes > 100<<10:
			e.Speed = 3
		case bytes > 1<<10:
			e.Speed = 2
		case bytes > 0:
			e.Speed = 1
		}
		d.Edges = append(d.Edges, *e)
	}
	slices.SortFunc(d.Edges, func(a, b trafficEdge) int {
		return cmp.Or(cmp.Compare(b.Denied+b.Refused+b.Silent, a.Denied+a.Refused+a.Silent), cmp.Compare(b.Speed, a.Speed), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Port, b.Port))
	})
	if over := len(d.Edges) - mostEdges; over > 0 {
		d.Edges, d.Omitted = d.Edges[:mostEdges], d.Omitted+over
	}
	d.layOut()
	for _, node := range sortedKeys(f.Nodes) {
		d.Unmeasured = append(d.Unmeasured, fact{node, f.Nodes[node]})
	}
	return d
}

// layOut places the ends in the order of their names, so that they stay where they are, and has arrows follow.
func (d *trafficData) layOut() {
	place := func(list *[]trafficEnd, name func(trafficEdge) (string, string)) func(trafficEdge) int {
		where := map[string]string{}
		for _, e := range d.Edges {
			if n, w := name(e); len(where) < mostEnds {
				where[n] = w
			}
		}
		at := map[string]int{}
		for i, n := range sortedKeys(where) {
			at[n] = 10 + i*endStep
			*list = append(*list, trafficEnd{n, where[n], at[n]})
		}
		return func(e trafficEdge) int {
			n, _ := name(e)
			return at[n]
		}
	}
	from := place(&d.From, func(e trafficEdge) (string, string) { return e.From, e.FromWhere })
	to := place(&d.To, func(e trafficEdge) (string, string) { return e.To, e.ToWhere })
	for i := range d.Edges {
		if a, b := from(d.Edges[i]), to(d.Edges[i]); a > 0 && b > 0 { // otherwise there is no room for it in the map
			d.Edges[i].Y1, d.Edges[i].Y2 = a+endHeight/2, b+endHeight/2
		}
	}
	d.Height = 20 + max(len(d.From), len(d.To), 1)*endStep
}

func otherTraffic(q *request) (all bool, other string) {
	if all = q.query.Get("all") == "true"; all {
		return all, "/traffic"
	}
	return all, "/traffic?all=true"
}

func (s *Server) loadTraffic(_ context.Context, q *request) (any, error) {
	all, other := otherTraffic(q)
	return trafficData{All: all, Other: other}, nil
}

// followTraffic has nodes measured as long as somebody looks.
func (s *Server) followTraffic(ctx context.Context, q *request, send func(any) error) error {
	all, other := otherTraffic(q)
	return s.o.Cluster.Flows(ctx, func(f cluster.Flows) error {
		d := trafficOf(f, all)
		d.Other = other
		return send(d)
	})
}

// dnsData is what the page dns shows around its table.
type dnsData struct{ Filter, Source string }

func (s *Server) loadDNS(_ context.Context, q *request) (any, error) {
	return dnsData{Filter: q.query.Get("q"), Source: "/dnsrows"}, nil
}

// questions collects questions for the next event of a stream. It is safe for concurrent use.
type questions struct {
	mu    sync.Mutex // guards the rest
	fresh []kube.Row
	// next is the UID of the next one; the page may have those from first up to sent.
	next, first, sent int
}

func (l *questions) add(w Words, d cluster.DNSQuery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	row := questionRow(w, d)
	row.UID = strconv.Itoa(l.next)
	l.next++
	l.fresh = append(l.fresh, row)
	l.fresh = l.fresh[max(0, len(l.fresh)-keptQuestions):]
}

// take returns what has come, and which questions are too old to be shown.
func (l *questions) take() (b kube.RowBatch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.Set, l.fresh = l.fresh, nil
	oldest := l.next - keptQuestions
	for ; l.first < min(oldest, l.sent); l.first++ {
		b.Delete = append(b.Delete, strconv.Itoa(l.first))
	}
	l.first, l.sent = max(l.first, oldest), l.next
	return b
}

// streamDNS sends questions as rows as they are answered, the newest only.
func (s *Server) streamDNS(w http.ResponseWriter, q *request) {
	columns := []kube.Column{
		{Name: q.words.T("age"), Time: true}, {Name: q.words.T("name")}, {Name: q.words.T("type")}, {Name: q.words.T("asked by")}, {Name: q.words.T("answer")},
		{Name: q.words.T("from")}, {Name: q.words.T("took"), Numeric: true}, {Name: q.words.T("node")},
	}
	s.stream(w, q, func(ctx context.Context, out *stream) error {
		if err := out.send("rows", kube.RowBatch{Reset: true, Columns: columns, Synced: true}); err != nil {
			return err
		}
		var l questions
		return newest(ctx, func() error {
			if err := out.send("rows", l.take()); err != nil {
				return err
			}
			return wait.Pause(ctx, questionPause)
		}, func(ctx context.Context, changed func()) error {
			return s.o.Cluster.DNSLog(ctx, cluster.DNSLogQuery{Fold: true}, func() {}, func(d cluster.DNSQuery) error {
				l.add(q.words, d)
				changed()
				return nil
			})
		})
	})
}

// questionRow is a question as a row; Owner is who asked.
func questionRow(w Words, d cluster.DNSQuery) kube.Row {
	answer := strings.Join(d.Answers, ", ")
	if d.Rcode != "NOERROR" || answer == "" {
		answer = strings.TrimSpace(d.Rcode + " " + answer)
	}
	if len(d.Tries) > 0 {
		answer += " " + w.T("(after %d other names)", len(d.Tries))
	}
	row := kube.Row{Created: d.Time, Cells: []string{"", d.Name, d.Type, cmp.Or(d.Pod, d.Client.String()), short(answer), string(d.Source), seconds(d.Took), d.Node}}
	if namespace, name, ok := strings.Cut(d.Pod, "/"); ok && namespace != "node" {
		row.Namespace, row.Name, row.Owner = namespace, name, kube.Object{Kind: "Pod", Name: name}
	} else if ok {
		row.Name, row.Owner = name, kube.Object{Kind: "Node", Name: name}
	}
	return row
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
