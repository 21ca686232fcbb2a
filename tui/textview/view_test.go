package textview

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

var now = time.Date(2026, 3, 14, 12, 4, 31, 0, time.UTC)

func look(t testing.TB) Look {
	t.Helper()
	theme, err := paint.NewTheme("dark", paint.TrueColor, false, true)
	if err != nil {
		t.Fatal(err)
	}
	return Look{
		Theme: theme, Age: func(at time.Time) string { return fmt.Sprintf("%ds", int(now.Sub(at).Seconds())) },
		Dropped: func(n int64) string { return fmt.Sprintf("%d lines dropped", n) },
	}
}

// screen draws and checks the size of what it got.
func screen(t testing.TB, v *View, w, h int) string {
	t.Helper()
	lines := v.Draw(look(t), w, h)
	if len(lines) != h {
		t.Fatalf("%d lines of %d", len(lines), h)
	}
	for i, l := range lines {
		if got := ansi.StringWidth(l); got != w {
			t.Fatalf("line %d is %d cells wide, not %d: %q", i, got, w, l)
		}
		lines[i] = strings.TrimRight(ansi.Strip(l), " ")
	}
	return strings.Join(lines, "\n")
}

func numbered(n int) []Line {
	lines := make([]Line, n)
	for i := range lines {
		lines[i] = NewLine(time.Time{}, kube.LogSource{Namespace: "shop", Pod: "web-0", Container: "web"}, fmt.Sprintf("line %d", i), false)
	}
	return lines
}

func expect(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in\n%s", w, got)
		}
	}
}

func TestFollowsUntilSomebodyLooksBack(t *testing.T) {
	v := New(true)
	v.Append(numbered(100)...)
	expect(t, screen(t, v, 40, 5), "line 95", "line 99")
	v.Move(-1)
	before := screen(t, v, 40, 5)
	v.Append(numbered(382)...)
	if after := screen(t, v, 40, 5); after != before {
		t.Errorf("a paused view moved from\n%s\nto\n%s", before, after)
	}
	if v.Waiting() != 382 || v.Following() {
		t.Errorf("%d lines wait, following %v", v.Waiting(), v.Following())
	}
	v.Pause()
	expect(t, screen(t, v, 40, 5), "line 381")
	if v.Waiting() != 0 || !v.Following() {
		t.Error("following again, lines still wait")
	}
	v.Scroll(-3)
	expect(t, screen(t, v, 40, 5), "line 374", "line 378")
	v.Scroll(10)
	if v.Scroll(1); !v.Following() {
		t.Error("scrolled to the end, the view does not follow")
	}
}

func TestSearchKeepsWhatIsAround(t *testing.T) {
	v := New(true)
	v.Append(numbered(1000)...)
	screen(t, v, 40, 7)
	v.SetSearch("line 50")
	expect(t, screen(t, v, 40, 7), "line 508", "▸line 509", "line 510")
	if at, of := v.Match(); at != 11 || of != 11 {
		t.Errorf("match %d of %d", at, of)
	}
	v.NextMatch(-1)
	expect(t, screen(t, v, 40, 7), "▸line 508")
	v.NextMatch(1)
	v.NextMatch(1) // around
	expect(t, screen(t, v, 40, 7), "▸line 50\n")
	v.SetSearch("")
	expect(t, screen(t, v, 40, 7), "▸line 50\n")
}

func TestSearchGivenUpGoesBack(t *testing.T) {
	v := New(true)
	v.Append(numbered(1000)...)
	before := screen(t, v, 40, 7)
	for _, text := range []string{"l", "li", "lin", "line 12", "line 12x", "line 12", ""} {
		v.SetSearch(text)
	}
	if after := screen(t, v, 40, 7); after != before || !v.Following() {
		t.Errorf("after a search that was given up:\n%s", after)
	}
}

func TestSearchFoldsCase(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"error", "an ERROR here", true}, {"ERROR", "an error here", false}, {"é", "café", true}, {"购物", "去购物车", true},
		{"x", "", false}, {"ab", "aab", true}, {"日志", "日", false},
	} {
		if got := newPattern(c.pattern, false).index(c.text) >= 0; got != c.want {
			t.Errorf("%q in %q: %v", c.pattern, c.text, got)
		}
	}
}

// TestSearchIsRight compares with the obvious way to search.
func TestSearchIsRight(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	letters := []rune("aAbBeE =漢é")
	word := func(n int) string {
		r := make([]rune, rnd.IntN(n))
		for i := range r {
			r[i] = letters[rnd.IntN(len(letters))]
		}
		return string(r)
	}
	for range 20000 {
		text, what := word(12), strings.ToLower(word(4))
		want := strings.Index(strings.ToLower(text), what)
		if what == "" {
			want = -1
		}
		if got := newPattern(what, false).index(text); got != want {
			t.Fatalf("%q in %q: %d, want %d", what, text, got, want)
		}
	}
}

func TestFilterReachesAllLines(t *testing.T) {
	v := New(true)
	v.Append(numbered(MaxLines)...)
	v.SetFilter("line 49")
	if got := v.Count(); got != 1111 {
		t.Errorf("%d lines pass", got)
	}
	v.Append(numbered(50)...) // one more passes, and old ones go
	if got := v.Count(); got != 1111+1-1 {
		t.Errorf("%d lines pass later", got)
	}
	v.SetFilter("!line")
	expect(t, screen(t, v, 40, 3), "")
	if v.Count() != 0 {
		t.Errorf("%d lines pass a filter for none", v.Count())
	}
	v.SetFilter("")
	if v.Count() != MaxLines {
		t.Errorf("%d lines without a filter", v.Count())
	}
}

func TestWhatFallsOutIsCounted(t *testing.T) {
	v := New(true)
	v.Append(numbered(MaxLines + 12345)...)
	if v.Len() != MaxLines || v.Dropped() != 12345 {
		t.Errorf("kept %d, dropped %d", v.Len(), v.Dropped())
	}
	v.Top()
	expect(t, screen(t, v, 50, 6), "12345 lines dropped", "▸line 12345", "line 12346")
	big := strings.Repeat("x", 1<<20)
	for range 100 {
		v.Append(NewLine(now, kube.LogSource{}, big, false))
	}
	if v.ring.bytes > MaxBytes {
		t.Errorf("%d bytes are kept", v.ring.bytes)
	}
}

func TestReaderStaysOnTheLineThatFiltersHideAround(t *testing.T) {
	v := New(true)
	v.Append(numbered(200)...)
	screen(t, v, 40, 6)
	v.SetSearch("line 77")
	v.SetFilter("7")
	expect(t, screen(t, v, 40, 6), "line 76", "▸line 77", "line 78")
	v.SetFilter("")
	expect(t, screen(t, v, 40, 6), "line 76", "▸line 77", "line 78")
}

func TestWrapShowsAllOfALine(t *testing.T) {
	for _, text := range []string{strings.Repeat("0123456789", 30), strings.Repeat("漢字かな", 40), strings.Repeat("é0漢", 70)} {
		v := New(true)
		v.ToggleWrap()
		v.Append(NewLine(time.Time{}, kube.LogSource{}, text, false))
		v.Top()
		got := strings.NewReplacer("\n", "", "▸", "", " ", "").Replace(screen(t, v, 38, 60))
		if got != text {
			t.Errorf("wrapped %q shows as %q", text, got)
		}
		for range 8 {
			screen(t, v, 38, 4)
			v.Move(1)
		}
		for range 40 {
			v.Move(-1)
			screen(t, v, 38, 4)
		}
		if at, of := v.Position(); at != 1 || of != 1 {
			t.Errorf("at %d of %d", at, of)
		}
	}
}

func TestColumnIsKept(t *testing.T) {
	v := New(false)
	var lines []Line
	for i := range 50 {
		lines = append(lines, PlainLine(fmt.Sprintf("%03d ", i)+strings.Repeat("漢字", 60)))
	}
	v.SetText(lines)
	screen(t, v, 40, 6)
	v.Right(1)
	screen(t, v, 40, 6)
	v.Right(1)
	column := v.Column()
	for range 20 {
		v.Move(1)
		screen(t, v, 40, 6)
	}
	if v.Column() != column || column == 0 {
		t.Errorf("column %d became %d", column, v.Column())
	}
	if v.Right(-9); v.Column() != 0 {
		t.Errorf("left end is column %d", v.Column())
	}
}

func TestSearchFindsFarToTheRight(t *testing.T) {
	v := New(true)
	v.Append(NewLine(time.Time{}, kube.LogSource{}, strings.Repeat("字", 5000)+"needle"+strings.Repeat("x", 3000), false), NewLine(time.Time{}, kube.LogSource{}, "short", false))
	screen(t, v, 80, 5)
	v.SetSearch("needle")
	expect(t, screen(t, v, 80, 5), "needle")
	v.ToggleWrap()
	v.NextMatch(1)
	expect(t, screen(t, v, 80, 5), "needle")
}

func TestMergePutsStreamsInOrder(t *testing.T) {
	v := New(true)
	line := func(at int, text string) Line {
		return NewLine(now.Add(time.Duration(at)*time.Second), kube.LogSource{}, text, false)
	}
	v.Merge(line(1, "a1"), line(3, "a3"))
	v.Merge(line(2, "b2"), line(3, "b3"), line(4, "b4"))
	var got []string
	for _, l := range v.Shown() {
		got = append(got, l.Text)
	}
	if strings.Join(got, " ") != "a1 b2 a3 b3 b4" || !v.Following() {
		t.Errorf("got %v", got)
	}
}

func TestRunsAreJumpedBetween(t *testing.T) {
	v := New(true)
	for run := range 3 {
		v.Append(NewLine(now, kube.LogSource{Namespace: "shop", Pod: "cart", Container: "cart"}, fmt.Sprintf("restart %d · exit 1 · ran 0.04s", run), true))
		v.Append(numbered(30)...)
	}
	screen(t, v, 60, 10)
	v.NextRun(-1)
	expect(t, screen(t, v, 60, 10), "▸─────────── restart 2 · exit 1 · ran 0.04s ─────")
	v.NextRun(-1)
	v.NextRun(-1)
	if v.NextRun(-1) {
		t.Error("there is a run before the first")
	}
	v.NextRun(1)
	expect(t, screen(t, v, 60, 10), "▸─────────── restart 1")
}

func TestTextStaysWhereItIsRead(t *testing.T) {
	v := New(false)
	text := func(n int) []Line {
		var lines []Line
		for i := range n {
			lines = append(lines, PlainLine(fmt.Sprintf("row %d", i)))
		}
		return lines
	}
	v.SetText(text(100))
	expect(t, screen(t, v, 30, 5), "▸row 0")
	v.Page(3)
	before := screen(t, v, 30, 5)
	v.SetText(text(101))
	if after := screen(t, v, 30, 5); after != before {
		t.Errorf("new text moved the view from\n%s\nto\n%s", before, after)
	}
	v.SetText(text(2))
	expect(t, screen(t, v, 30, 5), "row 0\n▸row 1")
}

func TestAnyDataFitsAnySize(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	nasty := []string{
		"", " ", "\x1b[31mred\x1b[0m \x1b]0;owned\x07", "\u202eevil", "漢字漢字漢字漢字漢字漢字漢字漢字", "👩‍👩‍👧 family 🇩🇪", "e\u0301e\u0301", "\xff\xfe", strings.Repeat("a", 3000),
		"tab\there", `{"level":"warn","msg":"a\u001b[2Jb","漢":"字 字"}`, `{"msg":`, "E0314 12:04:29.1 klog", "한글 각", "\u0300\u0301 lonely marks", strings.Repeat("漢", 999) + "x",
	}
	for range 150 {
		v := New(rnd.IntN(2) == 0)
		v.Name = func(l *Line) (string, paint.Role) { return l.Source.Pod, paint.Accent }
		v.NameWidth, v.Times = rnd.IntN(30), Times(rnd.IntN(3))
		for range rnd.IntN(40) {
			v.Append(NewLine(now, kube.LogSource{Namespace: "shop", Pod: "web-漢", Container: "web"}, nasty[rnd.IntN(len(nasty))], rnd.IntN(8) == 0))
		}
		for range 20 {
			switch rnd.IntN(12) {
			case 0:
				v.ToggleWrap()
			case 1:
				v.ToggleRaw()
			case 2:
				v.Move(rnd.IntN(9) - 4)
			case 3:
				v.Scroll(rnd.IntN(9) - 4)
			case 4:
				v.Right(rnd.IntN(3) - 1)
			case 5:
				v.SetSearch([]string{"", "a", "漢", "e"}[rnd.IntN(4)])
			case 6:
				v.SetFilter([]string{"", "a", "!a", "e"}[rnd.IntN(4)])
			case 7:
				v.NextMatch(rnd.IntN(2)*2 - 1)
			case 8:
				v.NextRun(rnd.IntN(2)*2 - 1)
			case 9:
				v.Append(NewLine(now, kube.LogSource{}, nasty[rnd.IntN(len(nasty))], false))
			case 10:
				v.Click(rnd.IntN(9))
			case 11:
				v.Top()
			}
			screen(t, v, 1+rnd.IntN(140), 1+rnd.IntN(30))
		}
	}
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]string{
		"12:04 ERROR boom": "ERROR", "[warn] x": "warn", `level=error msg="x"`: "error", "E0314 12:04:29.101 x": "E", "just an error here": "",
		"INFORMATIVE": "", "time=1 lvl=warn": "warn", `{"level":"debug"}`: "debug", "WARN: x": "WARN", "FATAL": "FATAL", "no level": "",
	} {
		s, ok := level(text)
		got := ""
		if ok {
			got = text[s.From:s.To]
		}
		if got != want {
			t.Errorf("level of %q is %q, not %q", text, got, want)
		}
	}
}
