package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/textview"
)

// say adds lines to the log of a pod.
func say(s *fakeSession, pod string, texts ...string) {
	namespace, name, _ := strings.Cut(pod, "/")
	s.update(func() {
		for _, text := range texts {
			s.logs = append(s.logs, kube.LogLine{Time: fakeNow.Add(time.Duration(len(s.logs)) * time.Millisecond), Source: kube.LogSource{Namespace: namespace, Pod: name, Container: "web"}, Text: text})
		}
	})
}

func numbered(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("request %d", i)
	}
	return list
}

// at asserts on the rows of the screen around a line.
func (r *rig) at(row string) (before, after string) {
	r.t.Helper()
	lines := strings.Split(r.screen(), "\n")
	for i, l := range lines {
		if strings.Contains(l, row) && i > 0 && i < len(lines)-1 {
			return lines[i-1], lines[i+1]
		}
	}
	r.t.Fatalf("no %q on\n%s", row, r.screen())
	return "", ""
}

// command types a command when it is known what types there are.
func (r *rig) command(text string) {
	r.t.Helper()
	r.keys(":")
	r.until("the types", func(string) bool { return len(r.u.state.types) > 0 })
	r.keys(`"`+text+`"`, "enter")
}

func TestLogsOfManyPodsAreOne(t *testing.T) {
	r := newRig(t, shop(), 120, 30)
	r.keys("4")
	r.shows("starting cart", "ERROR lookup redis.defualt.svc", "WARN  upstream gone  peer=cart", "GET / 200")
	if strings.Contains(r.screen(), "owned") {
		t.Error("a log sets the title of the terminal")
	}
	before, after := r.at("restart 4 · exit 1 · ran less than 1s")
	if !strings.Contains(before, "cart-7d9f4-x2k") || !strings.Contains(after, "web-9cc6f-lm2") {
		t.Errorf("lines do not say whose they are:\n%s", r.screen())
	}
	// One of them alone, and all again.
	r.keys("c", `"web-9"`, "enter")
	r.until("web alone", func(s string) bool {
		return !strings.Contains(s, "starting cart") && strings.Contains(s, "upstream gone")
	})
	r.shows("only shop/web-9cc6f-lm2")
	r.keys("c", "enter")
	r.shows("starting cart")
}

func TestSearchInLogsKeepsContext(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 24)
	r.keys("4")
	say(s, "shop/web-9cc6f-lm2", numbered(500)...)
	r.shows("request 499")
	r.keys("/", `"request 25"`)
	r.shows("▸", "request 258", "request 260", "11 of 11")
	r.keys("enter", "N")
	r.shows("10 of 11", "n next")
	before, after := r.at("▸12:04:31.263")
	if !strings.Contains(before, "request 257") || !strings.Contains(after, "request 259") {
		t.Errorf("the context is hidden:\n%s", r.screen())
	}
	// A filter hides it, on everything that is kept, and esc brings it back.
	r.keys("&", `"request 25"`, "enter")
	r.until("the filter", func(s string) bool { return !strings.Contains(s, "request 260") })
	r.shows("&request 25  12 of 505 lines", "request 25 ")
	r.keys("esc", "esc")
	r.shows("request 260")
	if r.u.current != 3 {
		t.Error("esc left the page while there was a filter")
	}
}

func TestPausedLogLosesNothing(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 24)
	r.keys("4")
	say(s, "shop/web-9cc6f-lm2", numbered(100)...)
	r.shows("request 99", "follow ✓")
	r.keys("k", "k")
	say(s, "shop/web-9cc6f-lm2", "one more", "and another", "and a third")
	r.shows("paused, +3 waiting", "follow –")
	if strings.Contains(r.screen(), "one more") {
		t.Error("a paused log went on")
	}
	r.keys(" ")
	r.shows("one more", "and a third", "follow ✓")
	r.keys("g")
	r.shows("starting cart")
	r.keys("}")
	r.shows("▸─────────── cart-7d9f4-x2k restart 4")
	r.keys("}")
	r.shows("there is no other run")
}

func TestJSONIsReadableRawAndWhole(t *testing.T) {
	r := newRig(t, shop(), 100, 24)
	r.keys("4")
	r.shows("WARN  upstream gone  peer=cart")
	r.keys("x")
	r.shows(`{"level":"warn","msg":"upstream gone","peer":"cart","ts":1773489869}`, "raw")
	r.keys("k", "enter")
	r.shows(`  "peer": "cart",`)
	r.keys("esc", "x")
	r.shows("WARN  upstream gone")
	r.keys("t")
	r.shows("time age", "2s web")
}

func TestLogsStayWhileOneLooksElsewhere(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 24)
	r.keys("4")
	r.shows("GET / 200")
	r.keys("3")
	r.shows("cart-7d9f4-x2k")
	say(s, "shop/web-9cc6f-lm2", "while nobody looked")
	r.keys("4")
	r.shows("while nobody looked")
	if n := strings.Count(r.screen(), "GET / 200"); n != 1 {
		t.Errorf("a line is there %d times:\n%s", n, r.screen())
	}
	if strings.Contains(r.screen(), "missing") {
		t.Errorf("nothing is missing:\n%s", r.screen())
	}
}

func TestLinesThatNobodyTakesAreBounded(t *testing.T) {
	var b logBatch
	for range 30 {
		more := logBatch{lines: make([]textview.Line, 9000)}
		b = mergeLogs(b, more)
	}
	if len(b.lines) > textview.MaxLines || len(b.lines)+b.dropped != 270_000 {
		t.Errorf("%d lines are held, %d dropped", len(b.lines), b.dropped)
	}
}

func TestEmptyLogShowsEvents(t *testing.T) {
	s := shop()
	s.logs = nil
	r := newRig(t, s, 100, 24)
	r.keys("3", "/", `"cart"`, "enter")
	r.shows("cart-7d9f4-x2k")
	r.keys("l")
	r.shows("no lines yet", "BackOff", "x4 Back-off restarting failed container")
	if strings.Contains(r.screen(), "FailedScheduling") {
		t.Error("events of other pods are shown")
	}
	say(s, "shop/cart-7d9f4-x2k", "hello at last")
	r.shows("hello at last")
}

func TestPreviousLogs(t *testing.T) {
	s := shop()
	r := newRig(t, s, 100, 24)
	r.keys("3", "/", `"cart"`, "enter")
	r.shows("cart-7d9f4-x2k")
	r.keys("p")
	r.shows("starting cart")
	if q := s.askedLogs(); !q.Previous || q.Follow || q.Namespace != "shop" || strings.Join(q.Pods, ",") != "cart-7d9f4-x2k" {
		t.Errorf("asked for %+v", q)
	}
	r.keys("p")
	r.until("the log of now", func(string) bool { q := s.askedLogs(); return !q.Previous && q.Follow })
}

func TestLogsOfMarkedWorkloadsAndNodes(t *testing.T) {
	s := shop()
	s.yaml["shop/web"] = "kind: Deployment\nspec:\n  selector:\n    matchLabels:\n      app: web\n      tier: front\n    matchExpressions:\n    - {key: env, operator: In, values: [a, b]}\n    - {key: old, operator: DoesNotExist}\n"
	r := newRig(t, s, 100, 24)
	r.command("deploy")
	r.shows("web", "cart")
	r.keys("/", `"web"`, "enter", "l")
	r.shows("GET / 200")
	if got := s.askedLogs().Selector; got != "app=web,tier=front,env in (a,b),!old" {
		t.Errorf("asked for %q", got)
	}
	r.keys("2")
	r.shows("dev-1")
	r.keys("l")
	r.shows("a line of kubelet", "a line of containerd", "a line of kube-proxy")
	// The marked pods of one namespace are one question.
	r.keys("3")
	r.shows("web-9cc6f-lm2")
	r.keys("/", `"web"`, "enter", " ", " ", "l")
	r.shows("GET / 200")
	if q := s.askedLogs(); len(q.Pods) != 2 {
		t.Errorf("asked for %+v", q)
	}
}

func TestSelectors(t *testing.T) {
	for text, want := range map[string]string{
		"spec: {selector: {app: web}}":                                                                  "app=web",
		"spec: {selector: {matchLabels: {a: b}}}":                                                       "a=b",
		"spec: {selector: {matchExpressions: [{key: k, operator: Exists}]}}":                            "k",
		"spec: {selector: {matchExpressions: [{key: k, operator: NotIn, values: [x]}]}}":                "k notin (x)",
		"spec: {selector: {matchExpressions: [5, {key: k, operator: Exists}, {operator: [], key: 1}]}}": "k",
		"spec: {}": "", "spec: {selector: 5}": "", "}": "",
	} {
		got, err := selectorOf(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s selects %q, %v", text, got, err)
		}
	}
}

func TestSaveLog(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, shop(), 100, 24, func(o *Options) { o.SaveDir = dir })
	r.keys("4")
	r.shows("GET / 200")
	r.keys("o")
	r.shows("saved 5 lines")
	files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--- shop/cart-7d9f4-x2k cart restart 4", `2026-03-14T12:04:29Z shop/web-9cc6f-lm2/web {"level":"warn"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %q in\n%s", want, data)
		}
	}
	if info, _ := os.Stat(files[0]); info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v", info.Mode())
	}
}

func TestLogFrames(t *testing.T) {
	s := shop()
	for i := range 40 {
		s.logs = append(s.logs, kube.LogLine{
			Time: fakeNow, Source: kube.LogSource{Namespace: "namespace-of-some-length", Pod: fmt.Sprintf("pod-漢字-%d", i), Container: "c"},
			Text: []string{"", "\x1b[31mred", strings.Repeat("長い", 300), "👩‍👩‍👧 x", "\u202eabc", `{"msg":"a\nb","x":{"y":[1]}}`}[i%6],
		})
		if l := &s.logs[len(s.logs)-1]; i%9 == 0 {
			l.Marker = &kube.LogMarker{Kind: kube.LogUnreadable, Reason: l.Text}
		}
	}
	for _, c := range [][2]int{{40, 8}, {41, 9}, {80, 24}, {97, 31}, {120, 40}, {200, 60}, {300, 100}} {
		r := newRig(t, s, c[0], c[1])
		r.keys("4")
		r.until("a line", func(string) bool { return r.u.page().(*logsPage).view.Len() > 0 })
		for _, k := range []string{"k", "w", "x", "t", "/", "a", "enter", "&", "a", "enter", "esc", "right", "g", "G", "ctrl+u", " ", "w", "c", "esc", "enter", "esc", "t"} {
			r.keys(k)
			r.frame(c[0], c[1])
		}
	}
}
