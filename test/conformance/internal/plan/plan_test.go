package plan

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dryRun = `[{"SuiteDescription": "Kubernetes e2e suite", "SpecReports": [
	{"LeafNodeType": "SynchronizedBeforeSuite", "State": "passed"},
	{"LeafNodeType": "It", "State": "passed", "ContainerHierarchyTexts": ["[sig-b] B", "", "when (so)"],
		"ContainerHierarchyLabels": [["sig-b"], [], ["Serial"]], "LeafNodeText": "works [Serial]", "LeafNodeLabels": ["Conformance"]},
	{"LeafNodeType": "It", "State": "passed", "ContainerHierarchyTexts": ["[sig-a] A"], "LeafNodeText": "works"},
	{"LeafNodeType": "It", "State": "passed", "ContainerHierarchyTexts": ["[sig-a] A"], "LeafNodeText": "works"},
	{"LeafNodeType": "It", "State": "skipped", "ContainerHierarchyTexts": ["[sig-a] A"], "LeafNodeText": "is left out"},
	{"LeafNodeType": "It", "State": "pending", "ContainerHierarchyTexts": ["[sig-a] A"], "LeafNodeText": "is not written"}
]}]`

func TestReadTests(t *testing.T) {
	got, err := ReadTests(strings.NewReader(dryRun))
	if err != nil {
		t.Fatal(err)
	}
	want := []Test{{Name: "[sig-a] A works"}, {Name: "[sig-b] B when (so) works [Serial]", Serial: true}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, err := ReadTests(strings.NewReader("no report")); err == nil {
		t.Error("what is not a report is accepted")
	}
}

func TestFocusMatchesExactlyTheTests(t *testing.T) {
	names := []string{"[sig-a] A works", "[sig-b] B (x|y) costs $1?"}
	args := Focus(names)
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"[sig-a] A works", true},
		{"[sig-a] A works twice", false},
		{"really [sig-a] A works", false},
		{"[sig-b] B (x|y) costs $1?", true},
		{"s A works", false},
	} {
		got := slices.ContainsFunc(args, func(arg string) bool {
			return regexp.MustCompile(strings.TrimPrefix(arg, "--focus=")).MatchString(Description + " " + tt.text)
		})
		if got != tt.want {
			t.Errorf("%q matches: %v", tt.text, got)
		}
	}
}

func TestOnly(t *testing.T) {
	tests := []Test{{Name: "a"}, {Name: "b", Serial: true}, {Name: "c"}}
	got, err := Only(tests, []string{"c", "b"})
	if want := []Test{{Name: "b", Serial: true}, {Name: "c"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := Only(tests, []string{"a", "renamed"}); err == nil || !strings.Contains(err.Error(), `"renamed"`) {
		t.Errorf("a name that no test has: %v", err)
	}
}

func TestMatching(t *testing.T) {
	tests := []Test{{Name: "[sig-a] Secrets"}, {Name: "[sig-b] ConfigMap"}}
	for _, tt := range []struct {
		focus, skip string
		want        int
	}{
		{"", "", 2}, {"Secrets", "", 1}, {"Secrets|Config", "", 2}, {`^\[sig-b\]`, "", 1}, {"Pods", "", 0},
		{"", "Secrets", 1}, {"sig", "sig-b", 1}, {"Secrets", "Secrets", 0},
	} {
		if got, err := Matching(tests, tt.focus, tt.skip); err != nil || len(got) != tt.want {
			t.Errorf("focus %q, skip %q: %v, %v", tt.focus, tt.skip, got, err)
		}
	}
	for _, tt := range [][2]string{{"(", ""}, {"", "("}} {
		if _, err := Matching(tests, tt[0], tt[1]); err == nil {
			t.Errorf("an expression that is not one is accepted: %q", tt)
		}
	}
}

func TestReadList(t *testing.T) {
	got := ReadList("# what this is\n[sig-a] A works\n\n  [sig-b] B works  \n")
	if want := []string{"[sig-a] A works", "[sig-b] B works"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAPlanIsTheSameOnlyForTheSameBuildAndTests(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.json")
	p := Plan{Suite: "quick", Of: "1", Tests: []Test{{Name: "a"}, {Name: "b", Serial: true}}}
	if _, ok, err := Load(path); ok || err != nil {
		t.Errorf("before it is written: %v, %v", ok, err)
	}
	if err := p.Save(path); err != nil {
		t.Fatal(err)
	}
	q, ok, err := Load(path)
	if err != nil || !ok || !p.Same(q) {
		t.Errorf("read back: %+v, %v, %v", q, ok, err)
	}
	for what, change := range map[string]func(*Plan){
		"suite": func(p *Plan) { p.Suite = "node" },
		"build": func(p *Plan) { p.Of = "2" },
		"focus": func(p *Plan) { p.Focus = "a" },
		"skip":  func(p *Plan) { p.Skip = "a" },
		"tests": func(p *Plan) { p.Tests = p.Tests[:1] },
	} {
		other := q
		change(&other)
		if p.Same(other) {
			t.Errorf("another %s counts as the same plan", what)
		}
	}
	if left := p.Left(func(name string) bool { return name == "a" }); !slices.Equal(left, []string{"b"}) || p.Serial() != 1 {
		t.Errorf("left %q, %d serial", left, p.Serial())
	}
}

func TestNamed(t *testing.T) {
	for name, title := range map[string]string{"conformance": "conformance", "quick": "conformance-quick"} {
		if s, err := Named(name); err != nil || s.Title() != title {
			t.Errorf("%s: %q, %v", name, s.Title(), err)
		}
	}
	if _, err := Named("fast"); err == nil || !strings.Contains(err.Error(), "quick") {
		t.Errorf("the error does not say which suites there are: %v", err)
	}
}

func TestKnown(t *testing.T) {
	tests := []Test{{Name: "[sig-a] A works [Conformance]"}, {Name: "[sig-b] B when so, works [Conformance]"}, {Name: "[sig-c] new"}}
	const older = "- testname: A\n  codename: '[sig-a] A works [Conformance]'\n- testname: B\n  codename: '[sig-b] B when so, works\n    [Conformance]'\n"
	known, unknown, err := Known(tests, []byte(older))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(known, tests[:2]) || !slices.Equal(unknown, []string{"[sig-c] new"}) {
		t.Errorf("known %v, unknown %v", known, unknown)
	}
	if _, _, err := Known(tests, []byte("no list")); err == nil {
		t.Error("what is not a list is accepted")
	}
}
