package dashboard

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// part is the first version of a page's part that a stream sends.
func (r *rig) part(path string) (part string) {
	r.Helper()
	r.follow(path, func(event, data string) bool {
		if event == "main" {
			if err := json.Unmarshal([]byte(data), &part); err != nil {
				r.Error(err)
			}
		}
		return event != "main"
	})
	return part
}

// follow reads a stream until f returns false.
func (r *rig) follow(path string, f func(event, data string) bool) {
	r.Helper()
	server := httptest.NewServer(r.s.Handler())
	defer server.Close()
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	q.Host = host
	for name, value := range r.cookies {
		q.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	got, err := server.Client().Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != "text/event-stream" {
		r.Fatalf("%s answers %d, %s", path, got.StatusCode, got.Header.Get("Content-Type"))
	}
	lines, event := bufio.NewScanner(got.Body), ""
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && !f(event, data) {
			return
		}
	}
}

func TestPagesFollowTheCluster(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	versions := 0
	r.follow("/live/overview", func(event, data string) bool {
		switch {
		case event != "main":
			return true
		case versions == 0:
			r.w.change(func() { r.w.snapshot.Problems = nil })
		case !strings.Contains(data, "nothing is wrong"):
			t.Errorf("the second version is %s", data)
		}
		versions++
		return versions < 2
	})
	// A change that is not seen is not sent: the next event is the one after it.
	versions = 0
	r.follow("/live/overview", func(event, data string) bool {
		switch {
		case event != "main":
			return true
		case versions == 0:
			r.w.change(func() { r.w.snapshot.Time = time.Now() })
			r.w.change(func() { r.w.snapshot.KubernetesVersion = "v1.99.0" })
		case !strings.Contains(data, "v1.99.0"):
			t.Errorf("something is sent that is the same: %s", data)
		}
		versions++
		return versions < 2
	})
	ended := false
	r.follow("/live/nodes", func(event, _ string) bool {
		if event == "main" {
			r.s.Revoke()
			ended = true
		}
		return true // the server ends it
	})
	if !ended {
		t.Error("nothing was sent")
	}
}

func TestRows(t *testing.T) {
	r := newRig(t, shop()).logIn(false)
	r.follow("/rows?type=pods&ns=shop", func(event, data string) bool {
		if event != "rows" {
			return true
		}
		var b kube.RowBatch
		if err := json.Unmarshal([]byte(data), &b); err != nil || len(b.Set) != 2 || !b.Synced || len(b.Columns) != 3 {
			t.Errorf("got %+v, %v", b, err)
		}
		return false
	})
	r.follow("/eventrows", func(event, data string) bool {
		if event != "rows" {
			return true
		}
		var b kube.RowBatch
		if err := json.Unmarshal([]byte(data), &b); err != nil || len(b.Set) != 1 || len(b.Set[0].Cells) != len(b.Columns) || b.Set[0].Owner.Name != "cart-1" {
			t.Errorf("got %+v, %v", b, err)
		}
		return false
	})
	r.follow("/logs?ns=shop&pod=cart-1", func(event, data string) bool {
		if event == "lines" && !strings.Contains(data, "no such host") {
			t.Errorf("got %s", data)
		}
		return event != "lines"
	})
	r.follow("/rows?type=nothing", func(event, data string) bool {
		if event == "trouble" && !strings.Contains(data, "nothing") {
			t.Errorf("got %s", data)
		}
		return event != "trouble"
	})
	for _, path := range []string{"/logs", "/logs?ns=shop", "/logs?ns=..%2fx&pod=a", "/logs?ns=a.b&pod=a"} {
		if got := r.get(path); got.Code != 400 {
			t.Errorf("%s answers %d", path, got.Code)
		}
	}
}

// TestAPageRecovers: what cannot be shown now is explained, and shown as soon as it can be.
func TestAPageRecovers(t *testing.T) {
	w := shop()
	w.failure = fault.Newf(fault.NotRunning, "the control plane of dev is still starting").Advise("see why", cluster.Bonsai("logs").On("daemon"))
	r := newRig(t, w).logIn(false)
	got := r.get("/object?type=pods&ns=shop&name=cart-1")
	if body := got.Body.String(); got.Code != 503 || !strings.Contains(body, "is still starting") || !strings.Contains(body, "bonsai logs daemon -p dev") || !strings.Contains(body, `<div id="part">`) {
		t.Errorf("the page answers %d: %s", got.Code, body)
	}
	var events []string
	r.follow("/live/object?type=pods&ns=shop&name=cart-1", func(event, data string) bool {
		if event == "trouble" && strings.Contains(data, "still starting") {
			w.change(func() { w.failure = nil })
		}
		if events = append(events, event); event == "main" && !strings.Contains(data, "CrashLoopBackOff") {
			t.Errorf("the page is %s", data)
		}
		return event != "main"
	})
	if !slices.Contains(events, "trouble") {
		t.Errorf("the events are %q", events)
	}
}
