package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/fault"
	"bonsai/cmd/bonsai/internal/learn"
	"bonsai/cmd/bonsai/internal/learn/condition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an API server with some pods.
type server struct {
	mu       sync.Mutex // guards the rest
	pods     []string
	watches  []chan string
	requests []string
	gone     bool
	// label is that of namespace n.
	label string
}

func pod(name string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"n","resourceVersion":"2"}}`, name)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	if r.Method != http.MethodGet {
		s.requests = append(s.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("fieldManager")+" "+string(body)))
	}
	w.Header().Set("Content-Type", "application/json")
	status := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"none of it"}`, reason, code)
	}
	defer func() { s.mu.Unlock() }()
	switch {
	case strings.Contains(r.URL.Path, "/proxy/hello"): // as bonsai/hello does
		if strings.Contains(r.Header.Get("Accept"), "application/json") {
			fmt.Fprint(w, `{"pod":"web-1"}`)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, "Hello from web-1\n")
	case strings.Contains(r.URL.Path, "/proxy/healthz"):
		fmt.Fprint(w, "ok "+r.URL.RawQuery)
	case strings.Contains(r.URL.Path, "/proxy/broken"):
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "ill")
	case strings.Contains(r.URL.Path, "/proxy/"):
		status(http.StatusServiceUnavailable, "ServiceUnavailable")
	case r.URL.Query().Get("sendInitialEvents") != "":
		status(http.StatusUnprocessableEntity, "Invalid") // and the client lists
	case r.URL.Path == "/api/v1/namespaces/n/pods" && r.URL.Query().Get("watch") != "":
		lines := make(chan string, 8)
		s.watches = append(s.watches, lines)
		w.(http.Flusher).Flush()
		s.mu.Unlock()
		defer s.mu.Lock()
		for {
			select {
			case line := <-lines:
				fmt.Fprintln(w, line)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	case r.URL.Path == "/api/v1/namespaces/n/pods" && r.Method == http.MethodGet:
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"PodList","metadata":{"resourceVersion":"1"},"items":[%s]}`, strings.Join(s.pods, ","))
	case r.URL.Path == "/api/v1/nodes" && r.Method == http.MethodGet:
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"NodeList","metadata":{},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b","managedFields":[{"manager":"bonsai-learn-x"}]}}]}`)
	case r.URL.Path == "/api/v1/nodes/b" && r.Method == http.MethodGet:
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"b","labels":{"learn":"1","other":"2"}},"spec":{"unschedulable":true,"taints":[{"key":"learn","effect":"NoSchedule"},{"key":"mine","effect":"NoSchedule"},{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}]}}`)
	case r.URL.Path == "/api/v1/namespaces/n/configmaps" && r.Method == http.MethodGet:
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"ConfigMapList","metadata":{},"items":[{"metadata":{"name":"held","finalizers":["x/y"]}},{"metadata":{"name":"free"}}]}`)
	case r.URL.Path == "/api/v1/namespaces/n" && r.Method == http.MethodGet && s.gone:
		status(http.StatusNotFound, "NotFound")
	case r.URL.Path == "/api/v1/namespaces/n" && r.Method == http.MethodGet:
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n","uid":"u","labels":{"bonsai.io/learn":%q}}}`, s.label)
	case r.URL.Path == "/api/v1/namespaces/n" && r.Method == http.MethodDelete:
		s.gone = true
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Success"}`)
	case strings.HasPrefix(r.URL.Path, "/apis/gateway.networking.k8s.io"):
		status(http.StatusNotFound, "NotFound")
	default:
		fmt.Fprint(w, `{"apiVersion":"v1","kind":"Thing","metadata":{"name":"x"}}`)
	}
}

func (s *server) send(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watches {
		w <- line
	}
}

// daemon answers from two maps.
type daemon struct{}

func (daemon) DNSLookup(_ context.Context, q cluster.DNSQuestion) (a cluster.DNSAnswer, err error) {
	switch q.Name {
	case "web.n":
		a.Steps = []cluster.DNSStep{{Rcode: "NXDOMAIN"}, {Rcode: "NOERROR", Answers: []string{"web.n.svc.cluster.local. 5 IN A 10.96.0.7"}}}
	case "alias.n":
		a.Steps = []cluster.DNSStep{{Rcode: "NXDOMAIN"}, {Rcode: "NOERROR", Answers: []string{"alias.n.svc.cluster.local. 5 IN CNAME db."}}}
	case "chain.n":
		a.Steps = []cluster.DNSStep{{Rcode: "NOERROR", Answers: []string{"chain.n. 5 IN CNAME web.n.", "web.n. 5 IN A 10.96.0.7"}}}
	case "a.b.c":
		a.Steps = []cluster.DNSStep{{Rcode: "SERVFAIL"}}
	default:
		a.Steps = []cluster.DNSStep{{Rcode: "NXDOMAIN"}}
	}
	return a, nil
}

func (daemon) Why(_ context.Context, q cluster.WhyQuestion) (w cluster.Why, err error) {
	if q.From == "n/pending" {
		w.Ends, w.Steps = cluster.WhySource, []cluster.WhyStep{{Topic: cluster.WhySource, Saw: "it does not run"}}
		return w, nil
	}
	if q.From != "n/client" || q.Port != "80" || q.Namespace != "n" {
		return w, fmt.Errorf("asked %+v", q)
	}
	w.Reaches = q.To == "web"
	if !w.Reaches {
		w.Ends, w.Steps = cluster.WhyEndpoints, []cluster.WhyStep{{Topic: cluster.WhyEndpoints, Saw: "no pod"}}
	}
	return w, nil
}

func open(t *testing.T, s *server) *World {
	t.Helper()
	api := httptest.NewServer(s)
	kubeconfig := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"a","clusters":[{"name":"a","cluster":{"server":%q}}],
		"contexts":[{"name":"a","context":{"cluster":"a","user":"a"}}],"users":[{"name":"a","user":{}}]}`, api.URL)
	w, err := Open([]byte(kubeconfig), daemon{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		api.CloseClientConnections()
		api.Close()
	})
	return w
}

func parse(t *testing.T, text string) condition.Condition {
	t.Helper()
	c, err := condition.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestFollow: it sees what is there at once, and a change when it comes.
func TestFollow(t *testing.T) {
	s := &server{pods: []string{pod("a")}}
	w := open(t, s)
	c := parse(t, "pods count = 2 or gateways count >= 1")
	sent := false
	var seen []string
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := w.Follow(ctx, c.Needs("n"), false, func(v condition.View) error {
		r := c.Eval(ctx, v, "n")
		list := v.Objects(condition.Kinds()[0], "n")
		seen = append(seen, fmt.Sprint(len(list)))
		if r.OK {
			return learn.ErrEnough
		}
		s.mu.Lock()
		watched := len(s.watches) > 0
		s.pods = []string{pod("a")}
		s.mu.Unlock()
		if watched && !sent {
			sent = true
			s.send(`{"type":"ADDED","object":` + pod("b") + `}`)
		} else if !sent {
			go func() { // the watch comes after the list
				for ctx.Err() == nil {
					s.mu.Lock()
					n := len(s.watches)
					s.mu.Unlock()
					if n > 0 {
						s.send(`{"type":"ADDED","object":` + pod("b") + `}`)
						return
					}
					select {
					case <-ctx.Done():
					case <-time.After(5 * time.Millisecond):
					}
				}
			}()
			sent = true
		}
		return nil
	})
	if !errors.Is(err, learn.ErrEnough) || seen[0] != "1" || seen[len(seen)-1] != "2" {
		t.Errorf("%v; it saw %q pods", err, seen)
	}
}

func TestQuestions(t *testing.T) {
	w := open(t, &server{})
	for text, want := range map[string]condition.Result{
		"not reach client db:80":                  {OK: true, Seen: "no pod"},
		"not reach pending db:80":                 {Unknown: true, Seen: "it does not run"},
		"dns alias answers":                       {Seen: "alias of db."},
		"dns chain answers":                       {OK: true, Seen: "10.96.0.7"},
		"dns web answers":                         {OK: true, Seen: "10.96.0.7"},
		"dns wbe answers":                         {Seen: "NXDOMAIN"},
		"dns a.b.c fails":                         {OK: true, Seen: "SERVFAIL"},
		"reach client web:80":                     {OK: true, Seen: "reached"},
		"reach client db:80":                      {Seen: "no pod"},
		`http web:80/healthz?a=b has a=`:          {OK: true, Seen: "HTTP 200"},
		`http web:80/hello has "Hello from web-"`: {OK: true, Seen: "HTTP 200"},
		`http web:80/hello has "Hello from db-"`:  {Seen: "HTTP 200: Hello from web-1"},
		"http web:80/broken status = 503": {
			OK: true, Seen: "HTTP 503"},
		"http web:80/broken answers": {Seen: "HTTP 503"},
		"http web:80/ status = 503":  {Seen: "none of it"}, // the API server's own, who had nobody to ask
	} {
		c := parse(t, text)
		v, err := w.Read(t.Context(), c.Needs("n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Eval(t.Context(), v, "n"); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

// TestRemove: the namespace goes, what is held in it is released, and only nodes that the lesson has changed are given back.
func TestRemove(t *testing.T) {
	s := &server{label: "x"}
	w := open(t, s)
	if err := w.Remove(t.Context(), "n", "x"); err != nil {
		t.Fatal(err)
	}
	want := func(fragment string, is bool) {
		t.Helper()
		if got := slices.ContainsFunc(s.requests, func(r string) bool { return strings.HasPrefix(r, fragment) }); got != is {
			t.Errorf("%s: %v, want %v, in\n%s", fragment, got, is, strings.Join(s.requests, "\n"))
		}
	}
	want("DELETE /api/v1/namespaces/n/pods", true)
	want(`PATCH /api/v1/namespaces/n/configmaps/held  {"metadata":{"finalizers":null}}`, true)
	want("PATCH /api/v1/namespaces/n/configmaps/free", false)
	want("PATCH /api/v1/nodes/a", false)
	want("PATCH /api/v1/nodes/b bonsai-learn-x", true)
	want(`PATCH /api/v1/nodes/b  {"metadata":{"labels":{"learn":null}},"spec":{"taints":[{"effect":"NoSchedule","key":"mine"}],"unschedulable":null}}`, true)
	want("DELETE /apis/storage.k8s.io/v1/storageclasses", true)
	want("DELETE /api/v1/nodes", false)
	if there, err := w.Exists(t.Context(), "n"); there || err != nil {
		t.Errorf("exists: %v, %v", there, err)
	}
}

// TestNamespacesOfOthersStay: a namespace that has the name of a lesson's, and that no lesson has made, is not touched.
func TestNamespacesOfOthersStay(t *testing.T) {
	s := &server{}
	w := open(t, s)
	for what, err := range map[string]error{"remove": w.Remove(t.Context(), "n", "x"), "apply": w.Apply(t.Context(), "n", "x", nil)} {
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "no lesson has made") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(s.requests) > 0 {
		t.Errorf("requests:\n%s", strings.Join(s.requests, "\n"))
	}
	s.gone = true // what is not there, nobody has
	if err := w.Remove(t.Context(), "n", "x"); err != nil {
		t.Error(err)
	}
}

func TestApply(t *testing.T) {
	s := &server{label: "x"}
	w := open(t, s)
	objects, err := learn.Documents("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {n: '1'}\n---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: b}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Apply(t.Context(), "n", "x", nil), w.Apply(t.Context(), "n", "x", objects)); err != nil {
		t.Fatal(err)
	}
	if len(s.requests) != 3 || !strings.Contains(s.requests[0], "/namespaces/n bonsai-learn-x") || !strings.Contains(s.requests[1], `/namespaces/n/configmaps/a bonsai-learn-x`) ||
		!strings.Contains(s.requests[2], `"labels":{"bonsai.io/learn":"x"}`) {
		t.Errorf("requests:\n%s", strings.Join(s.requests, "\n"))
	}
	if !json.Valid([]byte(s.requests[1][strings.IndexByte(s.requests[1], '{'):])) {
		t.Error("it is not JSON")
	}
}

// TestPoller: a question that is new has no answer; then there is one, and it follows what changes.
func TestPoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		now := make(chan string, 1)
		now <- "first"
		current := ""
		changes := 0
		a := poller{ctx: ctx, running: &running, known: map[condition.Question]condition.Answer{}, changed: func() { changes++ }}
		a.ask = func(context.Context, condition.Question) condition.Answer {
			select {
			case current = <-now:
			default:
			}
			return condition.Answer{Seen: current}
		}
		running.Go(a.keepAsking)
		q := condition.Question{Topic: condition.DNS, Of: "x"}
		if got := a.answer(ctx, q); got != (condition.Answer{}) {
			t.Errorf("at first %+v", got)
		}
		synctest.Wait()
		if got := a.answer(ctx, q); got.Seen != "first" || changes != 1 {
			t.Errorf("then %+v after %d changes", got, changes)
		}
		now <- "second"
		time.Sleep(askPause + time.Millisecond)
		synctest.Wait()
		if got := a.answer(ctx, q); got.Seen != "second" || changes != 2 {
			t.Errorf("later %+v after %d changes", got, changes)
		}
		time.Sleep(10 * askPause)
		synctest.Wait()
		if changes != 2 {
			t.Errorf("%d changes, though nothing has changed", changes)
		}
		cancel()
		running.Wait()
	})
}
