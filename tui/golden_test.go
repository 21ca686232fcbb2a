package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bonsai/tui/paint"
)

var update = flag.Bool("update", false, "write the golden files anew; look at them as at code")

// TestGolden compares every screen, and what is opened most, with what somebody has looked at: at three sizes, each with
// all colours, sixteen and none. Escape is written as "␛", so that the files can be read and compared.
func TestGolden(t *testing.T) {
	for name, c := range map[string]struct {
		world func() *fakeSession
		keys  []string
		shows string
	}{
		"overview":         {shop, []string{"1"}, "PROBLEMS"},
		"overview-healthy": {healthy, []string{"1"}, "nothing is wrong"},
		"problem":          {shop, []string{"1", "enter"}, "redis"},
		"nodes":            {shop, []string{"2"}, "dev-2"},
		"pods":             {shop, []string{"3"}, "cart-7d9f4-x2k"},
		"logs":             {shop, []string{"4"}, "starting cart"},
		"events":           {shop, []string{"5"}, "BackOff"},
		"dns":              {shop, []string{"6"}, "redis.defualt.svc"},
		"addons":           {shop, []string{"7"}, "storage-provisioner"},
		"control":          {shop, []string{"8"}, "kube-apiserver"},
		"ports":            {shop, []string{"9"}, "kubernetes"},
		"pod":              {shop, []string{"3", "enter"}, "cart:1.4.2"},
		"yaml":             {shop, []string{"3", "y"}, "kind: Pod"},
		"birth":            {shop, []string{"3", "/", `"lm2"`, "enter", "b"}, "kube-scheduler"},
		"start":            {stopped, []string{"1"}, "stopped"},
		"palette":          {shop, []string{"3", "ctrl+k", `"scale"`}, "scale"},
		"help":             {shop, []string{"3", "?"}, "keys"},
		"delete":           {shop, []string{"3", "delete"}, "Cancel"},
		"actions":          {shop, []string{"3", "a"}, "describe"},
		"chinese":          {shop, []string{"1"}, "问题"},
		"ascii":            {shop, []string{"1"}, "PROBLEMS"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}} {
				for _, d := range []struct {
					depth paint.Depth
					name  string
				}{{paint.TrueColor, "true"}, {paint.Colors16, "16"}, {paint.Mono, "mono"}} {
					r := newRig(t, c.world(), size[0], size[1], func(o *Options) {
						o.Depth, o.Theme = d.depth, "dark"
						if name == "chinese" {
							o.Lang = "zh"
						}
						o.ASCII = name == "ascii"
					})
					r.settle()
					for _, k := range c.keys {
						r.keys(k)
						r.settle()
					}
					r.shows(c.shows)
					r.settle()
					r.frame(size[0], size[1])
					fmt.Fprintf(&b, "-- %dx%d %s --\n", size[0], size[1], d.name)
					for _, line := range r.u.view {
						b.WriteString(strings.TrimRight(strings.ReplaceAll(line, "\x1b", "␛"), " "))
						b.WriteByte('\n')
					}
				}
			}
			path := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.String(); got != string(want) {
				t.Errorf("%s is drawn otherwise; go test ./tui -run Golden -update writes it anew:\n%s", name, firstDifference(got, string(want)))
			}
		})
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
