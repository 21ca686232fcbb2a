package tui

import (
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
)

// birthOf opens the birth of a pod of the shop.
func birthOf(t *testing.T, s *fakeSession, name string, w, h int) *rig {
	t.Helper()
	r := newRig(t, s, w, h)
	r.settled()
	r.u.push(newBirthPage(r.u, "shop", name))
	return r
}

func TestBirthKey(t *testing.T) {
	r := newRig(t, shop(), 100, 30)
	r.keys("3", "/", `"web-9cc6f-lm2"`, "enter")
	r.shows("1/1 (8)")
	r.keys("b")
	r.shows("ready after 520ms", "containerd on dev-1")
}

func TestBirthOfAReadyPod(t *testing.T) {
	r := birthOf(t, shop(), "web-9cc6f-lm2", 120, 40)
	r.shows("✓ shop/web-9cc6f-lm2  ready after 520ms", "200ms", "schedule", "kube-controller-manager", "dev-1 of 2 possible nodes", "start web",
		"WHY dev-1", "one of 2 possible nodes of 3, chosen in 3.0ms", "✓ dev-1    292", "+42 points over dev-2: Image +40, Resources +2", "✗ dev-3   node(s) were unschedulable  NodeUnschedulable")
	// The bars begin where the step before ends.
	_, end := barOf(r.line("sandbox"))
	begin, _ := barOf(r.line("start web"))
	if begin < end || begin > end+1 {
		t.Errorf("the bars do not follow each other:\n%s\n%s", r.line("sandbox"), r.line("start web"))
	}
}

// barOf is where a bar begins and ends, in cells.
func barOf(line string) (begin, end int) {
	begin = -1
	for i, c := range []rune(line) {
		if c == '█' {
			if begin < 0 {
				begin = i
			}
			end = i + 1
		}
	}
	return begin, end
}

// line is the first line of the screen with a text.
func (r *rig) line(text string) string {
	for l := range strings.SplitSeq(r.screen(), "\n") {
		if strings.Contains(l, text) {
			return l
		}
	}
	r.t.Fatalf("no line has %q:\n%s", text, r.screen())
	return ""
}

// stuck is a pod that no node can take, and one whose image cannot be pulled.
func stuck() *fakeSession {
	s := shop()
	long := strings.Repeat("no such image 漢字 ", 20)
	s.births["shop/db-0"] = cluster.Birth{
		Namespace: "shop", Name: "db-0", Started: fakeNow.Add(-5 * time.Second), Note: "the control plane was restarted \x1b[31mafter this pod was made",
		Steps: []cluster.BirthStep{
			{Step: "api", Who: "kubectl", End: 5 * time.Millisecond, Exact: true},
			{Step: "queue", Who: "kube-scheduler", Begin: 5 * time.Millisecond, Exact: true, Detail: "waits for room"},
		},
		Scheduling: &cluster.Decision{Took: time.Millisecond, Attempts: 9, Note: "two nodes were not looked at", Verdicts: []cluster.NodeVerdict{
			{Node: "dev-1", Rejected: []string{"Insufficient memory"}, Plugin: "NodeResourcesFit"},
			{Node: "dev-2", Rejected: []string{"Insufficient memory", long}, Plugin: "NodeResourcesFit"},
		}},
	}
	s.births["shop/cart-7d9f4-x2k"] = cluster.Birth{
		Namespace: "shop", Name: "cart-7d9f4-x2k", Started: fakeNow.Add(-time.Hour),
		Steps: []cluster.BirthStep{
			{Step: "kubelet", Who: "kubelet on dev-2", End: time.Second},
			{Step: "image/" + long, Who: "containerd on dev-2", Begin: time.Second, End: 2 * time.Second, Failed: true, Detail: long, Exact: true},
			{Step: "image/again", Who: long, Begin: 2 * time.Second, Exact: true, Failed: true, Detail: "not found"},
		},
		Scheduling: &cluster.Decision{Node: "dev-2", Verdicts: []cluster.NodeVerdict{{Node: "dev-2"}, {Node: "dev-3"}}},
	}
	return s
}

func TestBirthOfAPodThatNoNodeTakes(t *testing.T) {
	r := birthOf(t, stuck(), "db-0", 80, 24)
	r.shows("shop/db-0  not ready, 5.00s so far", "waits for room", "NO NODE none of 2 is possible", "attempt 9", "two nodes were not looked at", "✗ dev-1", "Insufficient memory  NodeResourcesFit", `the control plane was restarted \x1b[31mafter this pod was made`)
	if !strings.Contains(r.line("queue"), "▒") {
		t.Errorf("a step that lasts is drawn like one that is done: %s", r.line("queue"))
	}
}

func TestBirthOfAPodThatFails(t *testing.T) {
	r := birthOf(t, stuck(), "cart-7d9f4-x2k", 120, 40)
	r.shows("✗ shop/cart-7d9f4-x2k", "✗ image again", "not found", "chosen; there was nothing to compare", "would have been possible")
}

func TestBirthOfAnUnknownPod(t *testing.T) {
	r := birthOf(t, shop(), "nobody", 80, 24)
	r.shows("nothing is known of shop/nobody")
}

func TestBirthFits(t *testing.T) {
	for _, name := range []string{"web-9cc6f-lm2", "db-0", "cart-7d9f4-x2k", "nobody"} {
		r := birthOf(t, stuck(), name, 80, 24)
		r.settle()
		for range 2 {
			for _, size := range terminalSizes() {
				r.resize(size[0], size[1])
				r.frame(size[0], size[1])
			}
			r.keys("G")
		}
	}
}

func TestAxis(t *testing.T) {
	for _, test := range []struct {
		total time.Duration
		cells int
		want  string
	}{
		{520 * time.Millisecond, 30, "0          200ms       400ms"},
		{time.Second, 20, "0         500ms"},
		{3 * time.Millisecond, 40, "0            1ms          2ms"},
		{10 * time.Minute, 40, "0       2m0s    4m0s"},
	} {
		if got := axis(test.total, test.cells); !strings.HasPrefix(got, strings.TrimRight(test.want, " ")) && test.total < time.Minute {
			t.Errorf("the axis of %s in %d cells is %q, want %q", test.total, test.cells, got, test.want)
		}
		if len(axis(test.total, test.cells)) > test.cells {
			t.Errorf("the axis of %s is wider than %d cells", test.total, test.cells)
		}
	}
	for _, total := range []time.Duration{1, time.Microsecond, 100 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		for cells := range 100 {
			if got := axis(total, cells); len(got) > cells+2 {
				t.Errorf("the axis of %s in %d cells is %q", total, cells, got)
			}
		}
	}
}
