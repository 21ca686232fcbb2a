package learn

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"bonsai/bootstrap/cluster"
)

const good = `---
title: A lesson
order: 3
minutes: 7
nodes: 2
alone: true
---
First line
and second.

- one
- two: ` + "`pod/x exists`" + ` is prose

## setup
` + "```yaml" + `
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
` + "```" + `

# Do it on {node1}

Type this:

` + "```sh" + `
k get pods
# no comment ends a block
` + "```" + `

## check
- It is in {ns}: ` + "`pod/x in {ns} exists`" + `
## hint
Think.
## mistake
- ` + "`pod/y exists`" + `
- ` + "`pod/x absent`" + `

It is y.
` + "```sh" + `
k run y --image='a b'
` + "```" + `
## solution
` + "```sh" + `
k run x --image=bonsai/hello
bonsai node stop 2
` + "```" + `
` + "```yaml" + `
apiVersion: v1
kind: Pod
metadata: {name: z}
` + "```" + `
## done
Well.
`

const translated = `---
title: 课
---
第一行，
第二行。

# 做

## check
- 在
## hint
想
## mistake
错
## done
好
`

func TestParse(t *testing.T) {
	l, err := Parse("mine.md", good)
	if err != nil {
		t.Fatal(err)
	}
	if l.Name != "mine" || l.Language != "en" || l.Title != "A lesson" || l.Order != 3 || l.Minutes != 7 || l.Nodes != 2 || !l.Alone || l.Fault {
		t.Errorf("got %+v", l)
	}
	if got := l.Intro.String(); got != "First line and second.\n- one\n- two: `pod/x exists` is prose" {
		t.Errorf("the intro is %q", got)
	}
	if len(l.Setup) != 1 || l.Setup[0].Line != 15 || len(l.Steps) != 1 {
		t.Fatalf("setup %+v, %d steps", l.Setup, len(l.Steps))
	}
	s := l.Steps[0]
	if got := s.Text.String(); got != "Type this:\n    k get pods\n    # no comment ends a block" {
		t.Errorf("the text is %q", got)
	}
	if len(s.Checks) != 1 || s.Checks[0].Text != "It is in {ns}" || len(s.Mistakes) != 1 || len(s.Mistakes[0].When) != 2 || s.Mistakes[0].Text.String() != "It is y." ||
		len(s.Mistakes[0].Made) != 1 || len(s.Solution) != 3 || s.Done.String() != "Well." || s.HintCount() != 2 {
		t.Errorf("the step is %+v", s)
	}
	if words, err := s.Mistakes[0].Made[0].Words(); err != nil || !slices.Equal(words, []string{"k", "run", "y", "--image=a b"}) {
		t.Errorf("words %q, %v", words, err)
	}
	filled, err := l.Fill(Places{Namespace: "learn-mine", Nodes: []string{"n1"}})
	if err != nil || filled.Steps[0].Checks[0].Condition.String() != "pod/x in learn-mine exists" || l.Steps[0].Checks[0].Text != "It is in {ns}" {
		t.Errorf("filled %+v, %v", filled.Steps[0].Checks, err)
	}
	want := "    k run x --image=bonsai/hello\n    bonsai node stop 2\n    k apply -f - <<'END'\n    apiVersion: v1\n    kind: Pod\n    metadata: {name: z}\n    END"
	if got := s.Hint(1).String(); got != want {
		t.Errorf("the last hint is\n%s\nwant\n%s", got, want)
	}
}

func TestTranslation(t *testing.T) {
	files := fstest.MapFS{"a/mine.md": {Data: []byte(good)}, "b/mine.zh.md": {Data: []byte(translated)}, "README.md": {Data: []byte("x")}}
	s, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	l, _ := s.Find("mine", "zh")
	if l.Title != "课" || l.Intro.String() != "第一行，第二行。" || l.Steps[0].Checks[0].Text != "在" || l.Steps[0].Mistakes[0].Text.String() != "错" {
		t.Errorf("got %+v", l)
	}
	// What is no text is the lesson's.
	if l.Steps[0].Checks[0].Condition.String() != "pod/x in {ns} exists" || len(l.Steps[0].Solution) != 3 || len(l.Steps[0].Mistakes[0].When) != 2 || l.Nodes != 2 {
		t.Errorf("got %+v", l)
	}
	if other, ok := s.Find("mine", "fr"); !ok || other.Title != "A lesson" {
		t.Errorf("in a language that it lacks: %+v", other)
	}
	files["b/mine.zh.md"] = &fstest.MapFile{Data: []byte(strings.Replace(translated, "## hint\n想\n", "", 1))}
	if _, err := Load(files); err == nil || !strings.Contains(err.Error(), "mine.zh.md:1: step 1 has 0 hints, the lesson has 1") {
		t.Errorf("without a hint: %v", err)
	}
}

func TestMistakesHaveLines(t *testing.T) {
	for change, want := range map[string]string{
		"title: A lesson=":                            "mine.md:1: there is no title",
		"order: 3=order: x":                           `mine.md:3: order: "x" is not a number from 0 to 9999`,
		"alone: true=alone: perhaps":                  `mine.md:6: alone: "perhaps" is neither`,
		"pod/y exists=pod/y is":                       `the condition "pod/y is" is not valid: a condition, such as Ready, is missing`,
		"## done=## dome":                             `"dome" is not a part`,
		"Think.=":                                     "a hint has a text",
		"It is y.=":                                   "a mistake has a text that explains it",
		"kind: ConfigMap=kind: Config":                `mine.md:15: lessons have no objects of apiVersion "v1" and kind "Config"`,
		"kind: ConfigMap=kind: [":                     "mine.md:15: the manifest is not YAML",
		"metadata: {name: a}=metadata: {}":            "an object of kind ConfigMap has no metadata.name",
		"k run x --image=bonsai/hello=rm x":           `neither a command of kubectl`,
		"k run x --image=bonsai/hello=k run x | cat":  `has '|' outside of quotation marks`,
		"# Do it on {node1}=## check":                 "comes before the first step",
		"- It is in {ns}: `pod/x in {ns} exists`=":    "each check is a line",
		"## solution=## hint":                         `step "Do it on {node1}" has no solution`,
		"k run y --image='a b'=k run y --image='a b":  "quotation mark that does not end",
		"nodes: 2=colour: red":                        `"colour" is not a setting`,
		"## done\nWell.=## done\n```sh\nk get pods\n": "a block that begins with ``` does not end",
	} {
		old, now, _ := strings.Cut(change, "=")
		if strings.HasPrefix(change, "k run") { // they have an = of their own
			i := strings.LastIndex(change, "=rm x")
			i = max(i, strings.LastIndex(change, "=k run"))
			old, now = change[:i], change[i+1:]
		}
		text := strings.Replace(good, old, now, 1)
		if text == good {
			t.Errorf("%q changes nothing", change)
		}
		if _, err := Load(fstest.MapFS{"mine.md": {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", change, err, want)
		}
	}
	for name, want := range map[string]string{"x.txt": "ends in .md", "X.md": "not a name", "a.english.md": "not a language", strings.Repeat("a", 41) + ".md": "not a name"} {
		if _, err := Parse(name, good); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// FuzzParse: no file makes the reader panic, and each mistake has a line.
func FuzzParse(f *testing.F) {
	f.Add("mine.md", good)
	f.Add("mine.zh.md", translated)
	f.Add("a.md", "---\ntitle: x\n---\n# a\n```")
	f.Fuzz(func(t *testing.T, name, text string) {
		l, err := Parse(name, text)
		if err == nil {
			_, _ = l.Fill(Places{Namespace: "n"})
			lint(name, l)
			for _, s := range l.Steps {
				for i := range s.HintCount() {
					_ = s.Hint(i).String()
				}
			}
			return
		}
		if m, ok := errors.AsType[*Mistaken](err); !ok || m.Line < 1 {
			t.Errorf("%v has no line", err)
		}
	})
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"one two three", 8, []string{"one two", "three"}},
		{"type `k get pods` now", 10, []string{"type", "`k get pods`", "now"}},
		{"集群由控制平面组成。好", 10, []string{"集群由控制", "平面组成。", "好"}},
		{"控制平面组成。", 12, []string{"控制平面组成。"}}, // no line begins with a full stop
		{"", 10, nil},
		{"extraordinarily long", 5, []string{"extraordinarily", "long"}},
	} {
		if got := Wrap(test.text, test.columns); !slices.Equal(got, test.want) {
			t.Errorf("%q in %d columns: got %q, want %q", test.text, test.columns, got, test.want)
		}
	}
}

func TestProgress(t *testing.T) {
	path := t.TempDir() + "/learn.json"
	p, err := ReadProgress(path)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := Lesson{Name: "f", Fault: true, Steps: make([]Step, 1)}
	r := p.Begin(l, "dev", began)
	r.AllHints = 2
	r.Remember(Diagnosis([]cluster.Problem{
		{Kind: "CrashLoop", Object: "pod/learn-f/x", Summary: "exits", Cause: "code 3"},
		{Kind: "NodeDown", Object: "node/a", Summary: "is away"},
		{Kind: "Denied", Object: "networkpolicy/other/x", Pods: []string{"learn-f/y"}, Summary: "stops y"},
	}, "learn-f", false))
	r.Remember([]string{"CrashLoop: exits again"})
	r.Advance(l, began.Add(8*time.Minute))
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	if p, err = ReadProgress(path); err != nil {
		t.Fatal(err)
	}
	r = p.Lessons["f"]
	if r.Points != 100-40-3 || !r.Done() || !r.Active("dev") || r.Active("ci") || p.Current["dev"].Fault != "f" {
		t.Errorf("got %+v, %+v", r, p.Current)
	}
	if want := []string{"CrashLoop: exits again", "Denied: networkpolicy/other/x stops y"}; !slices.Equal(r.Diagnosis, want) {
		t.Errorf("diagnosis %q, want %q", r.Diagnosis, want)
	}
	p.Forget(l)
	if r = p.Lessons["f"]; r.Active("dev") || !r.Done() || r.Points != 57 || p.Current["dev"].Fault != "" {
		t.Errorf("after a reset: %+v", r)
	}
	if r = p.Begin(l, "dev", began); !r.Done() || r.Points != 57 {
		t.Errorf("begun again: %+v", r)
	}
	if Points(9, time.Hour) != 10 {
		t.Errorf("the least is %d", Points(9, time.Hour))
	}
}
