package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bonsai/tui/paint"
)

var update = flag.Bool("update", false, "rewrite the golden files; review them like code")

// goldens are the screens, and what is opened most: a cluster, the keys that lead there, and what is seen then.
var goldens = map[string]struct {
	world func() *fakeSession
	keys  []string
	shows string
}{
	"overview":         {shop, []string{"1"}, "PROBLEMS"},
	"overview-healthy": {healthy, []string{"1"}, "nothing is wrong"},
	"problem":          {shop, []string{"1", "enter"}, "redis"},
	"nodes":            {shop, []string{"2"}, "dev-2"},
	"pods":             {shop, []string{"3", "j", "j", "j"}, "cart-7d9f4-x2k"},
	"logs":             {shop, []string{"4"}, "starting cart"},
	"events":           {shop, []string{"5"}, "BackOff"},
	"dns":              {shop, []string{"6"}, "redis.defualt.svc"},
	"addons":           {shop, []string{"7"}, "storage-provisioner"},
	"control":          {shop, []string{"8"}, "kube-apiserver"},
	"ports":            {shop, []string{"9"}, "kubernetes"},
	"pod":              {shop, []string{"3", "j", "j", "j", "enter"}, "cart:1.4.2"},
	"yaml":             {shop, []string{"3", "j", "j", "j", "y"}, "kind: Pod"},
	"birth":            {shop, []string{"3", "/", `"lm2"`, "enter", "b"}, "kube-scheduler"},
	"start":            {stopped, []string{"1"}, "last time"},
	"palette":          {shop, []string{"3", "j", "j", "j", "ctrl+k", `"scale"`}, "scale"},
	"help":             {shop, []string{"3", "j", "j", "j", "?"}, "keys"},
	"delete":           {shop, []string{"3", "j", "j", "j", "delete"}, "Cancel"},
	"actions":          {shop, []string{"3", "j", "j", "j", "a"}, "describe"},
	"chinese":          {shop, []string{"1"}, "问题"},
	"ascii":            {shop, []string{"1"}, "PROBLEMS"},
	"images":           {shop, []string{"I"}, "redis:8"},
	"traffic":          {shop, []string{"W"}, "shop/db-0"},
	"traffic-zh":       {shop, []string{"W"}, "shop/db-0"},
	"traffic-map":      {shop, []string{"W", "m"}, "pod/db-0"},
	"way":              {shop, []string{"W", "Y"}, "source"},
	"way-zh":           {shop, []string{"W", "Y"}, "来源"},
	"clusters":         {shop, []string{"P"}, "stopped"},
	"checkpoints":      {shop, []string{"K"}, "before-migration"},
	"doctor":           {shop, []string{"H"}, "128 of 128"},
	"restore-ask":      {shop, []string{"K", "j", "r"}, "Cancel"},
	"restore-ask-zh":   {shop, []string{"K", "j", "r"}, "取消"},
	"checkpoints-zh":   {shop, []string{"K"}, "before-migration"},
	"revisions":        {more, []string{":", `"deployments"`, "enter", "v"}, "revision 3"},
	"values":           {more, []string{":", `"secrets"`, "enter", "x"}, "********"},
	"related":          {more, []string{":", `"deployments"`, "enter", "X"}, "USED BY"},
	"resources":        {shop, []string{"B"}, "38m/100m"},
	"problem-tree":     {nodeDown, []string{"1", "j", "z"}, "+40"},
	"revisions-zh":     {more, []string{":", `"deployments"`, "enter", "v"}, "修订版本 3"},
	"related-zh":       {more, []string{":", `"deployments"`, "enter", "X"}, "cart-7d9f4"},
	"resources-zh":     {shop, []string{"B"}, "38m/100m"},
	"doctor-zh":        {shop, []string{"H"}, "容器引擎"},
	"node-add":         {shop, []string{"2", "+", "tab", "tab", `"many"`, "enter"}, "not a number from 0.1"},
	"node-delete":      {shop, []string{"2", "j", "delete"}, "Cancel"},
	"port-add":         {shop, []string{"9", "G", "+"}, "tcp"},
	"images-zh":        {shop, []string{"I"}, "redis:8"},
	"clusters-zh":      {shop, []string{"P"}, "已停止"},
	"nodes-zh":         {shop, []string{"2"}, "dev-2"},
	"node-add-zh":      {shop, []string{"2", "+", "tab", "tab", `"many"`, "enter"}, "不是 0.1"},
	"node-delete-zh":   {shop, []string{"2", "j", "delete"}, "取消"},
	"port-add-zh":      {shop, []string{"9", "G", "+"}, "tcp"},
}

// TestGolden compares them with what somebody has reviewed: at three sizes, each with all colours, sixteen and none.
// Escape is written as "␛", so that the files can be read and compared.
func TestGolden(t *testing.T) {
	for name, c := range goldens {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			sizes := [][2]int{{80, 24}, {120, 40}, {200, 60}}
			if strings.ContainsAny(name, "-") && name != "overview-healthy" {
				sizes = [][2]int{{40, 10}, {80, 24}, {120, 40}}
			}
			for _, size := range sizes {
				for _, d := range []struct {
					depth paint.Depth
					name  string
				}{{paint.TrueColor, "true"}, {paint.Colors16, "16"}, {paint.Mono, "mono"}} {
					world := c.world()
					r := newRig(t, world, size[0], size[1], func(o *Options) {
						o.Depth, o.Theme = d.depth, "dark"
						if name == "chinese" || strings.HasSuffix(name, "-zh") {
							o.Lang = "zh"
						}
						o.ASCII = name == "ascii"
					})
					if len(world.load.Nodes) > 0 {
						r.until("the load", func(string) bool { return len(r.u.state.Load.Nodes) > 0 })
					}
					r.show(c.keys, c.shows)
					fmt.Fprintf(&b, "-- %dx%d %s --\n%s", size[0], size[1], d.name, r.picture(size[0], size[1]))
				}
			}
			golden(t, name, b.String())
		})
	}
}

// TestGoldenThemes compares the overview of a broken shop in every theme, with as many colours as make a difference.
func TestGoldenThemes(t *testing.T) {
	for _, theme := range paint.Names() {
		var b strings.Builder
		for _, d := range []struct {
			depth paint.Depth
			name  string
		}{{paint.TrueColor, "true"}, {paint.Colors256, "256"}, {paint.Colors16, "16"}, {paint.Mono, "mono"}} {
			r := newRig(t, shop(), 80, 24, func(o *Options) { o.Depth, o.Theme = d.depth, theme })
			r.settled()
			r.shows("PROBLEMS", "redis")
			r.until("the load", func(string) bool { return len(r.u.state.Load.Nodes) > 0 })
			r.settle()
			fmt.Fprintf(&b, "-- %s %s --\n%s", theme, d.name, r.picture(80, 24))
			// Whatever the colours: every state has its sign, and the cursor one of its own.
			for _, sign := range []string{"✗", "⚠", "✓", "▸"} {
				if !strings.Contains(r.screen(), sign) {
					t.Errorf("%s in %s has no %s", theme, d.name, sign)
				}
			}
		}
		golden(t, "theme-"+theme, b.String())
	}
}

// show types keys and waits for what is seen then.
func (r *rig) show(keys []string, text string) {
	r.t.Helper()
	r.settle()
	for i, k := range keys {
		r.keys(k)
		r.settle()
		if i >= 2 && keys[i-2] == ":" { // the types may come later than they are asked for
			r.until("the list", func(string) bool { return r.u.frame().crumb() == strings.Trim(keys[i-1], `"`) })
		}
		switch p := r.u.frame().(type) {
		case *panes:
			r.until("the list, and what is beside it", func(screen string) bool {
				l, ok := p.list.(*listPage)
				return (!ok || l.store.Synced) && !strings.Contains(screen, "reading it") && p.complete()
			})
		case *portsPage:
			r.until("Services and ports", func(string) bool { return p.u.state.Services.Synced && len(p.kept) > 0 })
		case *dnsPage:
			r.until("the state of the servers", func(string) bool { return len(p.servers) > 0 })
		case *subjectPage:
			r.until("what the page shows", func(screen string) bool { return !strings.Contains(screen, "reading it") && p.complete() })
		}
	}
	r.shows(text)
	r.settle()
}

// complete says that everything beside a list has come: the log has a line of each source, but for pods that have said
// nothing.
func (p *panes) complete() bool {
	says := strings.Contains(p.about, "/nodes/") || strings.Contains(p.about, "/cart-")
	for _, side := range p.sides {
		switch side := side.(type) {
		case *logsPage:
			if says && side.view.Len() < len(side.streams) {
				return false
			}
		case *subjectPage:
			if !side.complete() {
				return false
			}
		}
	}
	return true
}

// complete says that the summary of the pod that has events has them.
func (p *subjectPage) complete() bool {
	tab := &p.tabs[p.current]
	events := slices.IndexFunc(p.tabs, func(t objectTab) bool { return t.id == "events" })
	return tab.id != "summary" || !strings.HasPrefix(p.s.ref.Name, "cart-") || p.tabs[events].count() > 0
}

// picture is the screen with its codes, escape written as "␛".
func (r *rig) picture(w, h int) string {
	r.t.Helper()
	r.frame(w, h)
	var b strings.Builder
	for _, line := range r.u.view {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(line, "\x1b", "␛"), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// golden compares text with a file that somebody has reviewed.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is drawn differently; go test ./tui -run Golden -update rewrites it:\n%s", name, firstDifference(got, string(want)))
	}
}

// firstDifference shows the first line in which two texts differ, and its picture.
func firstDifference(got, want string) string {
	picture := ""
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range g {
		if strings.HasPrefix(g[i], "-- ") {
			picture = g[i]
		}
		if i >= len(w) || g[i] != w[i] {
			old := ""
			if i < len(w) {
				old = w[i]
			}
			return fmt.Sprintf("%s line %d\n got %q\nwant %q", picture, i, g[i], old)
		}
	}
	return "it is longer than it was"
}
