package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bonsai/bootstrap/cluster"
	"bonsai/bootstrap/statedir"
)

func TestDetectTerminal(t *testing.T) {
	const utf8 = "LANG=en_GB.UTF-8"
	for name, c := range map[string]struct {
		env   string // variables, separated by spaces
		color string
		depth ColorDepth
		why   string
	}{
		"16 by default":              {"TERM=xterm " + utf8, "", Colors16, "TERM=xterm guarantees no more"},
		"256 by name":                {"TERM=xterm-256color " + utf8, "", Colors256, "TERM=xterm-256color"},
		"true by COLORTERM":          {"TERM=xterm-256color COLORTERM=truecolor " + utf8, "", TrueColor, "COLORTERM=truecolor"},
		"24bit":                      {"TERM=xterm COLORTERM=24bit " + utf8, "", TrueColor, "COLORTERM=24bit"},
		"direct":                     {"TERM=xterm-direct " + utf8, "", TrueColor, "TERM=xterm-direct"},
		"kitty":                      {"TERM=xterm-kitty " + utf8, "", TrueColor, "is known to have it"},
		"tmux with COLORTERM":        {"TERM=tmux-256color TMUX=/tmp/x COLORTERM=truecolor " + utf8, "", TrueColor, "COLORTERM=truecolor"},
		"tmux that says screen":      {"TERM=screen-256color TMUX=/tmp/x COLORTERM=truecolor " + utf8, "", TrueColor, "COLORTERM=truecolor"},
		"tmux without COLORTERM":     {"TERM=tmux-256color TERM_PROGRAM=tmux " + utf8, "", Colors256, "the outer terminal has more"},
		"screen with COLORTERM":      {"TERM=screen.xterm-256color COLORTERM=truecolor " + utf8, "", Colors256, "belongs to the terminal around"},
		"iTerm":                      {"TERM=xterm-256color TERM_PROGRAM=iTerm.app " + utf8, "", TrueColor, "TERM_PROGRAM=iTerm.app"},
		"Apple's":                    {"TERM=xterm-256color TERM_PROGRAM=Apple_Terminal " + utf8, "", Colors256, "TERM=xterm-256color"},
		"Windows Terminal":           {"TERM=xterm-256color WT_SESSION=1 " + utf8, "", TrueColor, "Windows Terminal"},
		"NO_COLOR":                   {"TERM=xterm-256color COLORTERM=truecolor NO_COLOR=1 " + utf8, "", NoColor, "NO_COLOR is set"},
		"a flag over NO_COLOR":       {"TERM=xterm NO_COLOR=1 " + utf8, "256", Colors256, "it was requested"},
		"a flag over COLORTERM":      {"TERM=xterm COLORTERM=truecolor " + utf8, "never", NoColor, "it was requested"},
		"auto is not a choice":       {"TERM=xterm-256color " + utf8, "auto", Colors256, "TERM=xterm-256color"},
		"CI takes no colours away":   {"CI=true TERM=xterm-256color " + utf8, "", Colors256, "CI is set, which says nothing"},
		"dumb":                       {"TERM=dumb COLORTERM=truecolor " + utf8, "", NoColor, "TERM=dumb"},
		"without TERM":               {utf8, "", NoColor, "TERM is not set"},
		"the console":                {"TERM=linux " + utf8, "", Colors16, "characters: ASCII, because the font of TERM=linux"},
		"no UTF-8":                   {"TERM=xterm LC_ALL=C " + utf8, "", Colors16, "characters: ASCII, because LC_ALL=C is not a UTF-8"},
		"no locale":                  {"TERM=xterm", "", Colors16, "characters: ASCII, because an unset LANG"},
		"Chinese":                    {"TERM=xterm LANG=zh_CN.UTF-8", "", Colors16, "language: zh_CN.UTF-8, because of LANG=zh_CN.UTF-8"},
		"messages of another locale": {"TERM=xterm LANG=en_GB.UTF-8 LC_MESSAGES=zh_CN.UTF-8", "", Colors16, "language: zh_CN.UTF-8, because of LC_MESSAGES"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			for pair := range strings.FieldsSeq(c.env) {
				key, value, _ := strings.Cut(pair, "=")
				env[key] = value
			}
			l := detectTerminal(func(key string) string { return env[key] }, c.color, false, "")
			if l.depth != c.depth {
				t.Errorf("depth %d, want %d", l.depth, c.depth)
			}
			if why := strings.Join(l.why, "\n"); !strings.Contains(why, c.why) {
				t.Errorf("%q does not say %q", why, c.why)
			}
			if wantASCII := strings.Contains(strings.Join(l.why, ""), "characters: ASCII"); l.ascii != wantASCII {
				t.Errorf("ascii is %v", l.ascii)
			}
		})
	}
	l := detectTerminal(func(string) string { return "" }, "", true, "zh")
	if l.lang != "zh" || !l.ascii {
		t.Errorf("what was asked for does not count: %+v", l)
	}
}

func TestUISettings(t *testing.T) {
	dir := statedir.Dir{Root: t.TempDir()}
	if s, err := loadUISettings(dir); err != nil || s.Theme != "" {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir.Root, uiFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("theme: dark\ncalm: true\ncolor: 256\nkeys:\n  logs: o\n  quit: [q, ctrl-c]\n")
	s, err := loadUISettings(dir)
	if err != nil {
		t.Fatal(err)
	}
	s = uiSettings{Theme: "light"}.over(s)
	if s.Theme != "light" || !s.Calm || s.Color != "256" {
		t.Errorf("%+v", s)
	}
	if keys, err := s.keys(); err != nil || string(keys) != "logs: o\nquit: [q, ctrl-c]\n" {
		t.Errorf("keys %q, %v", keys, err)
	}
	for text, want := range map[string]string{
		"theme: pink": `theme "pink" is not one of auto`, "color: 8": `color "8"`, "lang: xx": `lang "xx"`, "screen: x": `screen "x"`,
		"thema: dark": "field thema not found", "- a": "cannot unmarshal", "": "",
	} {
		write(text)
		_, err := loadUISettings(dir)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPlainReport(t *testing.T) {
	at := time.Date(2026, 3, 14, 12, 4, 31, 0, time.Local)
	s := cluster.Snapshot{
		Name: "dev", Phase: cluster.PhaseDegraded, Time: at, KubernetesVersion: "v1.37.2",
		Nodes:    []cluster.NodeStatus{{Name: "dev-1", Host: cluster.PhaseRunning, Ready: true}},
		Problems: []cluster.Problem{{Kind: "CrashLoop", Severity: cluster.SeverityError, Object: "pod/shop/cart", Summary: "crash loop\x1b[2J", Cause: "no such name", Advice: []cluster.Advice{{Text: "edit it"}}}},
	}
	var r plainReport
	want := []string{
		"cluster dev is degraded, Kubernetes v1.37.2", "error: pod/shop/cart: crash loop\\x1b[2J, because no such name; what to do: edit it",
		"node dev-1 is ready, its container running",
	}
	if got := r.change(s); !slices.Equal(got, want) {
		t.Errorf("at first %q", got)
	}
	if got := r.change(s); len(got) > 0 {
		t.Errorf("nothing has changed, but %q", got)
	}
	s.Phase, s.Problems, s.Nodes = cluster.PhaseRunning, nil, []cluster.NodeStatus{{Name: "dev-1", Host: cluster.PhaseRunning}}
	want = []string{
		"12:04:31 over: " + want[1], "12:04:31 cluster dev is running, Kubernetes v1.37.2", "12:04:31 node dev-1 is not ready, its container running",
	}
	if got := r.change(s); !slices.Equal(got, want) {
		t.Errorf("then %q", got)
	}
}
