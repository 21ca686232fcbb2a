package dashboard

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/kube"
	"bonsai/tui/words"
)

func TestTraffic(t *testing.T) {
	w := shop()
	d := trafficOf(w.flows, false)
	if len(d.Edges) != 2 || d.Edges[0].State != "unanswered" || d.Edges[0].Tone != "bad" || d.Edges[0].Port != "53/UDP" || d.Edges[1].From != "shop/deployment/cart" || d.Edges[1].To != "shop/statefulset/redis" || d.Edges[1].Speed != 2 {
		t.Errorf("%+v", d.Edges)
	}
	if all := trafficOf(w.flows, true); len(all.Edges) != 3 {
		t.Errorf("all of it is %+v", all.Edges)
	}
	// Pods of one workload are one, and the worst of them counts.
	other := w.flows.Flows[0]
	other.From.Name, other.Refused = "cart-2", 4
	w.flows.Flows = append(w.flows.Flows, other)
	if d = trafficOf(w.flows, false); len(d.Edges) != 2 || d.Edges[0].Open+d.Edges[1].Open != 4 || d.Edges[0].Tone != "bad" || d.Edges[1].Tone != "bad" {
		t.Errorf("two pods of one are %+v", d.Edges)
	}
	for i := range 500 {
		f := other
		f.From.Workload, f.To.Workload = fmt.Sprint("deployment/a", i), fmt.Sprint("deployment/b", i%70)
		w.flows.Flows = append(w.flows.Flows, f)
	}
	d = trafficOf(w.flows, false)
	if len(d.Edges) != mostEdges || d.Omitted != 502-mostEdges || len(d.From) != mostEnds || len(d.To) != mostEnds {
		t.Errorf("of many, %d and %d ends, %d arrows are shown, %d not", len(d.From), len(d.To), len(d.Edges), d.Omitted)
	}
	for _, e := range append(d.From, d.To...) {
		if e.Y < 0 || e.Y+endHeight > d.Height {
			t.Errorf("%s is outside of the drawing", e.Name)
		}
	}
	r := newRig(t, shop()).logIn(false)
	if body := r.get("/traffic").Body.String(); !strings.Contains(body, "only while somebody looks") || !strings.Contains(body, "bonsai flow -p dev") {
		t.Errorf("before it is measured: %s", body)
	}
	body := r.part("/live/traffic")
	for _, want := range []string{"dev-2: it does not answer", "redis.shop.svc.cluster.local", `href="/object?name=redis&amp;ns=shop&amp;type=statefulset"`, "UDP"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
}

func TestQuestions(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	first := true
	r.follow("/dnsrows", func(event, data string) bool {
		if event != "rows" {
			return true
		}
		var b kube.RowBatch
		if err := json.Unmarshal([]byte(data), &b); err != nil {
			t.Fatal(err)
		}
		if first {
			if first = false; !b.Reset || !b.Synced || len(b.Columns) != 8 || len(b.Set) > 0 {
				t.Errorf("it begins with %+v", b)
			}
			return true
		}
		if len(b.Set) < 1 || len(b.Set[0].Cells) != 8 || b.Set[0].Cells[4] != "NXDOMAIN (after 1 other names)" || b.Set[0].Owner != (kube.Object{Kind: "Pod", Name: "cart-1"}) || b.Set[0].Namespace != "shop" {
			t.Errorf("got %+v", b)
		}
		return false
	})
	if got := questionRow(words.For("en"), shop().questions[1]); got.Owner.Kind != "Node" || got.Name != "dev-1" || got.Cells[4] != "192.0.2.1" {
		t.Errorf("a node's question is %+v", got)
	}
}

// TestQuestionsAreForgotten: a page has the newest, however many come.
func TestQuestionsAreForgotten(t *testing.T) {
	var l questions
	english := words.For("en")
	there := map[string]bool{}
	for _, n := range []int{1, 1500, 1500, keptQuestions + 700, 3} {
		for range n {
			l.add(english, cluster.DNSQuery{})
		}
		b := l.take()
		for _, row := range b.Set {
			there[row.UID] = true
		}
		for _, uid := range b.Delete {
			delete(there, uid)
		}
		if len(there) > keptQuestions {
			t.Fatalf("after %d more there are %d", n, len(there))
		}
	}
	if len(there) != keptQuestions {
		t.Errorf("in the end there are %d", len(there))
	}
}
