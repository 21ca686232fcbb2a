package textview

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/kube"
	"bonsai/tui/paint"
)

func BenchmarkNewLine(b *testing.B) {
	for name, text := range map[string]string{
		"text": "2026-03-14 12:04:29 INFO  request served path=/cart/items status=200 took=12ms peer=10.244.1.9:51234",
		"json": `{"level":"info","ts":1773489869.101,"msg":"request served","path":"/cart/items","status":200,"took":"12ms","peer":"10.244.1.9:51234"}`,
		"ansi": "\x1b[32mINFO\x1b[0m request served \x1b[1mpath\x1b[0m=/cart/items status=200 took=12ms peer=10.244.1.9:51234",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				NewLine(now, kube.LogSource{Namespace: "shop", Pod: "web-0", Container: "web"}, text, false)
			}
		})
	}
}

// A second of a log of 10,000 lines a second: made, taken in, and drawn 30 times.
func BenchmarkSecondOfTenThousandLines(b *testing.B) {
	v, look := New(true), look(b)
	v.Name = func(l *Line) (string, paint.Role) { return l.Source.Container, paint.Accent }
	v.NameWidth = 8
	v.SetSearch("timeout")
	b.ReportAllocs()
	for b.Loop() {
		for range 30 {
			for i := range 333 {
				v.Append(NewLine(now, kube.LogSource{Namespace: "shop", Pod: "web-0", Container: "web"}, fmt.Sprintf(`{"level":"info","msg":"request served","path":"/cart/items","status":200,"n":%d}`, i), false))
			}
			v.Draw(look, 120, 37)
		}
	}
}

func full() *View {
	v := New(true)
	for i := range MaxLines {
		v.Append(NewLine(now, kube.LogSource{Namespace: "shop", Pod: "web-0", Container: "web"}, fmt.Sprintf("2026-03-14 12:04:29 INFO  request %d served path=/cart/items status=200 took=12ms peer=10.244.1.9:51234", i), false))
	}
	return v
}

func BenchmarkDraw(b *testing.B) {
	v, look := full(), look(b)
	for _, wrap := range []bool{false, true} {
		b.Run(fmt.Sprintf("wrap=%v", wrap), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Draw(look, 120, 37)
			}
		})
		v.ToggleWrap()
	}
}

// One key typed into a search or a filter, over everything that is kept.
func BenchmarkSearchKey(b *testing.B) {
	v := full()
	for b.Loop() {
		v.SetSearch("")
		v.SetSearch("e")
	}
}

func BenchmarkFilterKey(b *testing.B) {
	v := full()
	for b.Loop() {
		v.SetFilter("")
		v.SetFilter("served path=/none")
	}
}

// stall is the longest that anything may hold up the screen.
const stall = 50 * time.Millisecond

// TestLongLineStallsNothing does all that can be done with a line of 100 kB, in each alphabet, and takes the time of each.
func TestLongLineStallsNothing(t *testing.T) {
	look := look(t)
	for name, text := range map[string]string{
		"ascii": strings.Repeat("0123456789 ", 100<<10/11), "cjk": strings.Repeat("漢字", 100<<10/6), "json": `{"msg":"` + strings.Repeat("x y ", 10<<10) + `","k":"` + strings.Repeat("é ", 20<<10) + `"}`,
		"escapes": strings.Repeat("\x1b[31mred\x1b[0m ", 100<<10/13),
	} {
		v := New(true)
		v.Append(numbered(100)...)
		worst, what := time.Duration(0), ""
		took := func(name string, f func()) {
			// The best of three: the machine has other things to do.
			best := time.Hour
			for range 3 {
				began := time.Now()
				f()
				best = min(best, time.Since(began))
			}
			if best > worst {
				worst, what = best, name
			}
		}
		var l Line
		took("making it", func() {
			l = NewLine(now, kube.LogSource{Namespace: "shop", Pod: "web-0", Container: "web"}, text, false)
		})
		took("taking it in", func() { v.Append(l) })
		took("drawing it", func() { v.Draw(look, 120, 37) })
		took("searching", func() { v.SetSearch("zzz"); v.SetSearch("x"); v.Draw(look, 120, 37) })
		took("wrapping", func() { v.ToggleWrap(); v.Draw(look, 120, 37) })
		took("the end", func() { v.Bottom(); v.Draw(look, 120, 37) })
		took("up", func() { v.Page(-1); v.Draw(look, 120, 37) })
		took("right", func() { v.Right(1000); v.Draw(look, 120, 37) })
		took("filtering", func() { v.SetFilter("y"); v.Draw(look, 120, 37) })
		took("resizing", func() { v.Draw(look, 81, 20) })
		t.Logf("%s: the worst is %s, %v", name, what, worst)
		if worst > stall {
			t.Errorf("%s: %s took %v", name, what, worst)
		}
	}
}
