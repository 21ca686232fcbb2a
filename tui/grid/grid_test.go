package grid

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"bonsai/tui/paint"
)

var columns = []Column{{Title: "Name", Min: 6}, {Title: "Status", Drop: 1}, {Title: "Restarts", Kind: Number, Drop: 3}, {Title: "Age", Kind: Age, Drop: 2}, {Title: "IP", Wide: true, Drop: 4}}

var epoch = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func item(name, status string, restarts int) Item {
	return Item{
		ID: "id-" + name, Key: name, State: paint.StateOK, Cells: []string{name, status, fmt.Sprint(restarts), "", "10.0.0.1"},
		Time: epoch.Add(time.Duration(restarts) * time.Minute), Labels: map[string]string{"app": strings.TrimRight(name, "0123456789-")},
	}
}

func names(g *Grid) (list []string) {
	g.All(func(it *Item) { list = append(list, it.Cells[0]) })
	return list
}

func current(g *Grid) string {
	it, ok := g.Current()
	if !ok {
		return ""
	}
	return it.Cells[0]
}

func look(t testing.TB) Look {
	th, err := paint.NewTheme("mono", paint.Mono, false, true)
	if err != nil {
		t.Fatal(err)
	}
	return Look{Theme: th, Age: func(t time.Time) string { return fmt.Sprint(t.Sub(epoch).Minutes(), "m") }, Title: func(s string) string { return s }, Focused: true}
}

func filled(t testing.TB) *Grid {
	g := New(columns)
	g.Set(item("web-1", "Running", 0), item("db-0", "Pending", 12), item("web-2", "CrashLoopBackOff", 3), item("cart-9", "Running", 1))
	g.Draw(look(t), 80, 10)
	return g
}

func TestSort(t *testing.T) {
	g := filled(t)
	for _, c := range []struct {
		column  int
		descend bool
		want    string
	}{
		{ByKey, false, "cart-9 db-0 web-1 web-2"}, {0, true, "web-2 web-1 db-0 cart-9"}, {1, false, "web-2 db-0 cart-9 web-1"},
		{2, false, "web-1 cart-9 web-2 db-0"}, {2, true, "db-0 web-2 cart-9 web-1"}, {3, false, "db-0 web-2 cart-9 web-1"}, {99, false, "cart-9 db-0 web-1 web-2"},
	} {
		g.Sort(c.column, c.descend)
		if got := strings.Join(names(g), " "); got != c.want {
			t.Errorf("by %d %v: %s, want %s", c.column, c.descend, got, c.want)
		}
	}
}

func TestFilter(t *testing.T) {
	g := filled(t)
	for text, want := range map[string]string{
		"": "cart-9 db-0 web-1 web-2", "WEB": "web-1 web-2", "!web": "cart-9 db-0", "~wb1": "web-1", "web run": "web-1", "app=web": "web-1 web-2",
		"!app=web": "cart-9 db-0", "app=": "cart-9 db-0 web-1 web-2", "other=": "", "status:run": "cart-9 web-1", "!status:run": "db-0 web-2", "s:pend": "db-0",
		"nope": "", "!": "", "10.0.0.1": "cart-9 db-0 web-1 web-2", ":x": "", "=": "",
	} {
		g.SetFilter(text)
		if got := strings.Join(names(g), " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCursorStaysOnItsObject(t *testing.T) {
	g := filled(t)
	g.Point("id-web-1")
	g.Set(item("aaa", "Running", 0), item("zzz", "Running", 0))
	g.Remove("id-db-0")
	g.Sort(2, true)
	if current(g) != "web-1" || g.Lost() {
		t.Errorf("the cursor is on %q", current(g))
	}
	g.Set(item("web-1", "Failed", 99))
	if it, _ := g.Current(); it.Cells[1] != "Failed" {
		t.Errorf("the cursor is on %v", it.Cells)
	}
	g.Remove("id-web-1")
	if current(g) == "" || !g.Lost() || g.Lost() {
		t.Errorf("the object has gone: the cursor is on %q, and that is reported once", current(g))
	}
}

// TestCursorUnderChurn makes 10,000 random changes. As long as the cursor's object lives, the cursor is on it, and as
// long as there is room on both sides its line on the screen does not move.
func TestCursorUnderChurn(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	g := New(columns)
	alive := map[string]bool{}
	set := func(n int) {
		name := fmt.Sprintf("pod-%03d", n)
		alive["id-"+name] = true
		g.Set(item(name, []string{"Running", "Pending", "Failed"}[rnd.IntN(3)], rnd.IntN(100)))
	}
	for n := range 300 {
		set(n * 2)
	}
	l := look(t)
	g.Sort(2, false)
	for n := range 10_000 {
		g.Draw(l, 80, 20)
		if !alive[g.cursor] || n%100 == 0 {
			g.moveTo(rnd.IntN(g.Len()))
		}
		want := g.cursor
		line := g.index - g.top
		atEdge := g.index < 40 || g.index > g.Len()-40
		switch rnd.IntN(3) {
		case 0:
			id := fmt.Sprintf("id-pod-%03d", rnd.IntN(600))
			if id != want {
				delete(alive, id)
				g.Remove(id)
			}
		default:
			n := rnd.IntN(600)
			if fmt.Sprintf("id-pod-%03d", n) == want {
				atEdge = true // it moves itself
			}
			set(n)
		}
		it, ok := g.Current()
		if !ok || it.ID != want {
			t.Fatalf("change %d: the cursor is on %v, want %s", n, it, want)
		}
		if !atEdge && g.index > 40 && g.index < g.Len()-40 && g.index-g.top != line {
			t.Fatalf("change %d: the cursor's line moved from %d to %d", n, line, g.index-g.top)
		}
		if !slices.IsSortedFunc(g.order, g.compare) {
			t.Fatalf("change %d: the order is broken", n)
		}
		if len(g.order) != len(alive) {
			t.Fatalf("change %d: %d rows, want %d", n, len(g.order), len(alive))
		}
	}
}

func TestDrawIsExact(t *testing.T) {
	g := filled(t)
	g.Set(item("购物车-"+strings.Repeat("漢", 40), "Läuft", 7), item("emoji-😀", strings.Repeat("x", 300), 1), Item{ID: "bare"})
	g.Mark()
	l := look(t)
	for _, wide := range []bool{false, true} {
		g.SetWide(wide)
		for w := 10; w < 140; w += 3 {
			for h := range 12 {
				lines := g.Draw(l, w, h)
				if len(lines) != h {
					t.Fatalf("%d lines, want %d", len(lines), h)
				}
				for _, line := range lines {
					if got := paint.Width(line); got != w {
						t.Fatalf("%d cells, want %d: %q", got, w, line)
					}
				}
			}
		}
	}
}

func TestColumnsGoByPriority(t *testing.T) {
	g := filled(t)
	for w, want := range map[int]string{80: "NAME STATUS RESTARTS AGE", 30: "NAME STATUS AGE", 24: "NAME STATUS", 14: "NAME"} {
		header := strings.Join(strings.Fields(strings.NewReplacer("↑", "", "↓", "").Replace(ansi.Strip(g.Draw(look(t), w, 5)[0]))), " ")
		if header != want {
			t.Errorf("%d cells: %q, want %q", w, header, want)
		}
	}
}

// TestNamesAreReadableWhereAllColumnsAreShown: the others go, or get narrow, before what the row is about.
func TestNamesAreReadableWhereAllColumnsAreShown(t *testing.T) {
	columns := []Column{{Title: "Name", Min: 14}}
	name := "checkout-worker-7d9f4c8b6-x2k4p"
	cells := []string{name}
	for i := range 9 {
		columns = append(columns, Column{Title: fmt.Sprint("Column", i), Wide: true, Max: 48, Drop: 4 + i})
		cells = append(cells, strings.Repeat("x", 20))
	}
	g := New(columns)
	g.Set(Item{ID: "a", Key: "a", Cells: cells})
	g.SetWide(true)
	for _, w := range []int{100, 120, 200} {
		if got := ansi.Strip(g.Draw(look(t), w, 5)[1]); !strings.Contains(got, name) || ansi.StringWidth(got) != w {
			t.Errorf("%d cells: %q", w, got)
		}
	}
}

func TestClick(t *testing.T) {
	g := filled(t)
	lines := g.Draw(look(t), 80, 10)
	if x := strings.Index(ansi.Strip(lines[0]), "RESTARTS"); !g.Click(x+2, 0) || g.sortBy != 2 {
		t.Error("a click on a title does not sort by it")
	}
	g.Draw(look(t), 80, 10)
	if !g.Click(5, 3) || current(g) != names(g)[2] {
		t.Errorf("a click on the third row: the cursor is on %q", current(g))
	}
	if g.Click(5, 9) {
		t.Error("a click below the rows did something")
	}
}

func big(n int) *Grid {
	g := New(columns)
	items := make([]Item, n)
	for i := range items {
		items[i] = item(fmt.Sprintf("deployment-%d-%d", i%97, i), []string{"Running", "Pending", "CrashLoopBackOff"}[i%3], i%50)
	}
	g.Set(items...)
	return g
}

func BenchmarkFilter10k(b *testing.B) {
	g := big(10_000)
	texts := []string{"d", "de", "dep", "deployment-7", "deployment-77"}
	for i := 0; b.Loop(); i++ {
		g.SetFilter(texts[i%len(texts)])
	}
}

func BenchmarkSort10k(b *testing.B) {
	g := big(10_000)
	for i := 0; b.Loop(); i++ {
		g.Sort(i%4, i%8 < 4)
	}
}

func BenchmarkDraw10k(b *testing.B) {
	g := big(10_000)
	l := look(b)
	b.ReportAllocs()
	for b.Loop() {
		g.Draw(l, 120, 40)
	}
}

func BenchmarkSet10k(b *testing.B) {
	g := big(10_000)
	for i := 0; b.Loop(); i++ {
		n := i * 7919 % 10_000
		g.Set(item(fmt.Sprintf("deployment-%d-%d", n%97, n), "Running", i%50))
	}
}
