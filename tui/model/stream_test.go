package model

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

func TestEventsAreKeptOnceAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		tail := c.NewEventTail(3)
		tail.Wants = func(e *kube.EventLine) bool { return e.Warning }
		changes := 0
		tail.Listen(func() { changes++ })
		tail.Feed.Use()
		s.events <- nil
		settle()
		if !tail.Read || len(tail.Lines) != 0 || changes != 1 {
			t.Errorf("without Events: read %v, %d changes", tail.Read, changes)
		}
		event := func(uid string, count int) kube.EventLine {
			return kube.EventLine{UID: uid, Warning: true, Reason: " BackOff ", Count: count}
		}
		s.events <- []kube.EventLine{event("a", 1), event("b", 1), {UID: "c"}}
		s.events <- []kube.EventLine{event("a", 2), event("d", 1), event("e", 1)}
		settle()
		var got []string
		for _, e := range tail.Lines {
			got = append(got, fmt.Sprintf("%s %d %s", e.UID, e.Count, e.Reason))
		}
		if want := []string{"a 2 BackOff", "d 1 BackOff", "e 1 BackOff"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		close(s.events)
		settle()
		if fault.KindOf(tail.Err) != fault.NotRunning || len(tail.Lines) != 3 {
			t.Errorf("after the end: %v, %d Events", tail.Err, len(tail.Lines))
		}
	})
}

func TestDNSOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		d := c.NewDNSPulse()
		if d.P99() != -1 || !d.Since.IsZero() {
			t.Errorf("before: %v, %v", d.P99(), d.Since)
		}
		d.Feed.Use()
		settle()
		ask := func(rcode string, source cluster.DNSSource, took time.Duration, tries ...string) {
			s.queries <- cluster.DNSQuery{Time: time.Now(), Client: netip.MustParseAddr("10.244.1.2"), Name: " web ", Rcode: rcode, Source: source, Took: took, Tries: tries}
		}
		ask("NOERROR", cluster.DNSFromCache, time.Millisecond, "web.shop.svc", "web.svc")
		ask("NXDOMAIN", cluster.DNSFromCluster, 2*time.Millisecond)
		ask("SERVFAIL", cluster.DNSFromForward, 3*time.Millisecond)
		settle()
		if got, want := d.Count(), (DNSCount{Asked: 5, None: 3, Failed: 1, FromMemory: 1}); got != want {
			t.Errorf("count %+v, want %+v", got, want)
		}
		if d.P99() != 2*time.Millisecond || len(d.Recent) != 3 || d.Recent[0].Name != "web" || !d.Since.Equal(time.Now()) {
			t.Errorf("p99 %s, recent %+v, since %s", d.P99(), d.Recent, d.Since)
		}
		time.Sleep(59 * time.Second)
		ask("NOERROR", cluster.DNSFromCluster, time.Millisecond)
		settle()
		if got := d.Count().Asked; got != 6 {
			t.Errorf("%d asked within a minute, want 6", got)
		}
		time.Sleep(2 * time.Second)
		if got := d.Count().Asked; got != 1 {
			t.Errorf("%d asked after a minute, want 1", got)
		}
	})
}

func TestTheTailOfALogIsThatOfOnePod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		c, settle := begin(t, s)
		tail := c.NewLogTail()
		lines := func(texts ...string) []kube.LogLine {
			var list []kube.LogLine
			for _, text := range texts {
				list = append(list, kube.LogLine{Text: text})
			}
			return list
		}
		shown := func() string {
			var list []string
			for _, l := range tail.Lines {
				list = append(list, l.Text)
			}
			return strings.Join(list, " ")
		}
		tail.Point("shop", "web")
		s.logs <- lines("a", " b ")
		settle()
		if q := s.asked; q.Namespace != "shop" || !slices.Equal(q.Pods, []string{"web"}) || !q.Follow || shown() != "a b" {
			t.Errorf("asked %+v, shown %q", q, shown())
		}
		s.logs <- lines("late")
		synctest.Wait() // it is here, but nobody has taken it
		tail.Point("shop", "cart")
		settle()
		if shown() != "" {
			t.Errorf("of another pod: %q", shown())
		}
		s.logs <- lines("c")
		s.logs <- lines(slices.Repeat([]string{"x"}, tailKept)...)
		settle()
		if len(tail.Lines) != tailKept || tail.Lines[0].Text != "x" {
			t.Errorf("%d lines are kept, the first is %q", len(tail.Lines), tail.Lines[0].Text)
		}
		tail.Point("", "")
		settle()
		if tail.Name != "" || len(tail.Lines) != 0 {
			t.Errorf("pointed at nothing: %+v", tail.Lines)
		}
	})
}

// TestRunsOfAStream: what an earlier run has sent is not sent again, and a gap is marked.
func TestRunsOfAStream(t *testing.T) {
	at := time.Date(2026, 8, 1, 10, 0, 0, 0, time.UTC)
	line := func(after time.Duration, pod, text string) kube.LogLine {
		return kube.LogLine{Time: at.Add(after), Source: kube.LogSource{Pod: pod, Container: "web"}, Text: text}
	}
	for _, test := range []struct {
		what string
		list []kube.LogLine
		want string
	}{
		{"runs that overlap", []kube.LogLine{line(-2, "a", "old"), line(0, "a", "last"), line(5, "a", "new"), line(1, "b", "other")}, "new other"},
		{"runs that do not", []kube.LogLine{line(90, "a", "later"), line(91, "a", "on")}, "gap later on"},
		{"a marker says so", []kube.LogLine{{Time: at.Add(90), Source: kube.LogSource{Pod: "a", Container: "web"}, Marker: &kube.LogMarker{Kind: kube.LogRestarted}}}, "restarted"},
		{"a line without a time", []kube.LogLine{{Source: kube.LogSource{Pod: "a", Container: "web"}, Text: "timeless"}}, "timeless"},
	} {
		p := LogPositions{{Pod: "a", Container: "web"}: at}
		var got []string
		p.Begin().News(test.list, func(l *kube.LogLine) {
			if l.Marker != nil {
				l.Text = string(l.Marker.Kind)
			}
			got = append(got, l.Text)
		})
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %q, want %q", test.what, text, test.want)
		}
	}
}
